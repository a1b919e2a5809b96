import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { storageSuite, type TestedDatabase } from '@atoll/conformance'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { afterAll, describe, test } from 'vitest'
import { nodeFiles, nodeRuntime, ValueLogLevel } from '../src/index.ts'
import { SimDisk } from './sim-disk.ts'

/** In memory where the system offers that: the suites open thousands of databases. */
const base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()
const directory = mkdtempSync(join(base, 'atoll-value-log-'))
let places = 0

/** Small enough that the suites fill segments and put values on both sides of the threshold. */
const SMALL = { thresholdBytes: 3, segmentBytes: 64 * 1024, reserveBytes: 0, checkpointBytes: 64 * 1024 }

/** The suite closes sublevels and leaves their parents open; files must not be closed by the garbage collector. */
const created: ValueLogLevel[] = []

const placeOf = new WeakMap<object, string>()

storageSuite(
  { describe, test },
  {
    name: 'value-log-level over memory-level',
    create: (options) => {
      const parts = { inner: new MemoryLevel(), files: new SimDisk().files() }
      return subject(new ValueLogLevel(nodeRuntime(), parts, { valueLog: SMALL, ...options }))
    },
  },
)

storageSuite(
  { describe, test },
  {
    name: 'value-log-level over classic-level',
    create: (options) => onDisk(join(directory, `${places++}`), options),
    reopen: (closed) => onDisk(placeOf.get(closed) ?? ''),
  },
)

function onDisk(place: string, options: object = {}): TestedDatabase {
  const parts = { inner: new ClassicLevel(join(place, 'keys')), files: nodeFiles(join(place, 'values')) }
  const db = new ValueLogLevel(nodeRuntime(), parts, { valueLog: SMALL, ...options })
  placeOf.set(db, place)
  return subject(db)
}

/** As what it extends: whether the compiler sees that its hooks fit depends on which files it has looked at before. */
function subject(db: ValueLogLevel): TestedDatabase {
  created.push(db)
  return Object(db)
}

afterAll(() => rmSync(directory, { recursive: true, force: true }))
