import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  AtollError,
  type CompactOptions,
  checkFunction,
  checkKnown,
  checkSignal,
  type DirectoryUsage,
  type StorageUsage,
  storageFailure,
} from '@atoll/core'

/** What a database may know of its space; a value log has `space` and `compact`, classic-level the others. */
export interface SpaceOf {
  readonly status: string
  readonly supports: { readonly permanence: boolean }
  readonly location?: unknown
  space?(): Promise<readonly DirectoryUsage[]>
  compact?(options: CompactOptions): Promise<void>
  compactRange?(start: Uint8Array, end: Uint8Array, options: { keyEncoding: 'view' }): Promise<void>
}

const UNKNOWN = { liveBytes: undefined, deadBytes: undefined, freeBytes: undefined } as const
const FIRST_KEY = Uint8Array.of(0)
const ABOVE_ALL_KEYS = new Uint8Array(32).fill(0xff)

/**
 * What the storage of a node takes on its disk, and how to give space back at once. Space comes back by itself; see
 * "Space" in the operating guide. Where the node has a sublevel of a database, all of that database is meant.
 */
export class NodeSpace {
  readonly #database: SpaceOf

  constructor(database: SpaceOf) {
    this.#database = database
  }

  /**
   * Asks the database, and the disk. A value log knows all. Of a plain LevelDB only `diskBytes` is known, and of a database
   * in memory, or of another kind, nothing: then `directories` is empty. Throws `ATOLL_CLOSED`, `ATOLL_STORAGE`.
   */
  async usage(): Promise<StorageUsage> {
    const directories = await this.#directories()
    return {
      liveBytes: sumOf(directories, 'liveBytes'),
      deadBytes: sumOf(directories, 'deadBytes'),
      freeBytes: sumOf(directories, 'freeBytes'),
      diskBytes: sumOf(directories, 'diskBytes'),
      directories,
    }
  }

  /**
   * Gives back now what the database can. A value log counts anew what is in use and moves it from every segment of which a
   * tenth is dead, at its own rate, and says how far it is; then, as for a plain LevelDB, the keys are compacted, which can
   * be neither watched nor ended. Nothing happens for a database in memory. Rejects with the reason of `signal`,
   * `ATOLL_STORE_UNSUPPORTED` for a database with no way to do so, `ATOLL_CLOSED`, `ATOLL_DISK_FULL`, `ATOLL_STORAGE`.
   */
  async compact(options: CompactOptions = {}): Promise<void> {
    checkKnown('compact', options, ['signal', 'onProgress'])
    checkSignal(options.signal)
    checkFunction('onProgress', options.onProgress)
    options.signal?.throwIfAborted()
    this.#checkOpen()
    const database = this.#database
    if (database.compact !== undefined) return database.compact(options)
    if (!database.supports.permanence) return
    if (database.compactRange === undefined) {
      const message = 'the database has no way to give space back: it has neither compact nor compactRange'
      throw new AtollError('ATOLL_STORE_UNSUPPORTED', message, { details: { feature: 'compaction' } })
    }
    try {
      await database.compactRange(FIRST_KEY, ABOVE_ALL_KEYS, { keyEncoding: 'view' })
    } catch (cause) {
      throw storageFailure('the database failed to compact', cause)
    }
  }

  async #directories(): Promise<readonly DirectoryUsage[]> {
    this.#checkOpen()
    const { space, location } = this.#database
    if (space !== undefined) return space.call(this.#database)
    if (typeof location !== 'string') return []
    try {
      return [{ path: location, holds: 'all', ...UNKNOWN, diskBytes: await usedBytes(location) }]
    } catch (cause) {
      throw storageFailure(`the files in ${location} could not be counted`, cause, { definite: true })
    }
  }

  #checkOpen(): void {
    if (this.#database.status === 'open') return
    throw new AtollError('ATOLL_CLOSED', 'the database is not open', { definite: true })
  }
}

/** Undefined unless somebody knows. */
function sumOf(
  directories: readonly DirectoryUsage[],
  field: 'liveBytes' | 'deadBytes' | 'freeBytes' | 'diskBytes',
): number | undefined {
  const known = directories.map((directory) => directory[field]).filter((bytes) => bytes !== undefined)
  return known.length === 0 ? undefined : known.reduce((sum, bytes) => sum + bytes, 0)
}

/** Files may go while they are counted. `blocks` counts in units of 512 bytes; Windows says 0. */
async function usedBytes(directory: string): Promise<number> {
  let used = 0
  for (const name of await readdir(directory)) {
    const found = await stat(join(directory, name)).catch(() => undefined)
    if (found?.isFile()) used += found.blocks > 0 ? 512 * found.blocks : found.size
  }
  return used
}
