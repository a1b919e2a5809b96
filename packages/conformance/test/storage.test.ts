import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { afterAll, describe, test } from 'vitest'
import { storageSuite } from '../src/index.ts'

const directory = mkdtempSync(join(tmpdir(), 'atoll-conformance-'))
let places = 0

storageSuite({ describe, test }, { name: 'memory-level', create: (options) => new MemoryLevel(options) })

storageSuite(
  { describe, test },
  {
    name: 'classic-level',
    create: (options) => new ClassicLevel(join(directory, `${places++}`), options),
    reopen: (closed) => {
      if (!(closed instanceof ClassicLevel)) throw new TypeError('expected the database that was created')
      return new ClassicLevel(closed.location)
    },
  },
)

// Hundreds of databases: a busy disk takes its time to delete them.
afterAll(() => rmSync(directory, { recursive: true, force: true }), 60_000)
