import { createWorld } from '@atoll/sim'
import { afterAll, describe, test } from 'vitest'
import { storageSuite } from '../src/index.ts'

const world = createWorld({ seed: 'conformance' })
const drive = world.drive()
const places = new WeakMap<object, string>()
let disks = 0

storageSuite(
  { describe, test },
  {
    name: 'sim-level',
    create: (options) => {
      const place = `disk ${disks++}`
      const db = world.disk(place).open(options)
      places.set(db, place)
      return db
    },
    reopen: (closed) => world.disk(places.get(closed) ?? '').open(),
  },
)

afterAll(() => drive.stop())
