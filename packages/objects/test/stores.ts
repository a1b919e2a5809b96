import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import type { LevelDatabase } from '../src/index.ts'

export interface OpenDatabase extends LevelDatabase, AsyncDisposable {
  /** Every key that is there. */
  allKeys(): Promise<Uint8Array[]>
}

const BINARY = { keyEncoding: 'view', valueEncoding: 'view' }

/** The databases that everything is tested on, each empty, and gone when it is disposed of. */
export const DATABASES: Readonly<Record<string, () => Promise<OpenDatabase>>> = {
  'memory-level': async () => withKeys(new MemoryLevel<Uint8Array, Uint8Array>(BINARY), async () => {}),
  'classic-level': async () => {
    const directory = await mkdtemp(join(tmpdir(), 'atoll-objects-'))
    return withKeys(new ClassicLevel<Uint8Array, Uint8Array>(directory, BINARY), () =>
      rm(directory, { recursive: true, force: true }),
    )
  },
}

function withKeys(
  database: LevelDatabase & { keys(): { all(): Promise<Uint8Array[]> }; close(): Promise<void> },
  remove: () => Promise<void>,
): OpenDatabase {
  return {
    get: (key, options) => database.get(key, options),
    batch: (operations, options) => database.batch(operations, options),
    iterator: (options) => database.iterator(options),
    allKeys: () => database.keys().all(),
    [Symbol.asyncDispose]: async () => {
      await database.close()
      await remove()
    },
  }
}
