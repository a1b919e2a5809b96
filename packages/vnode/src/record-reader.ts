import { type Runtime, toHex } from '@atoll/core'
import { hasCode, readFailed, readSummed } from './database.ts'
import { decodeEnvelope, NOTHING_STORED, type StoredState, UNREADABLE } from './envelope.ts'
import type { Database, SummedBytes } from './ports.ts'

/** Reads records, checks every byte, and tells about those that fail. */
export class RecordReader {
  readonly #runtime: Runtime
  readonly #database: Database

  constructor(runtime: Runtime, database: Database) {
    this.#runtime = runtime
    this.#database = database
  }

  /** Throws `ATOLL_STORAGE` only if the database itself fails. */
  read(key: Uint8Array): Promise<StoredState> {
    return this.#read(key, true)
  }

  /** As `read`, for those who give no value away: it may be the database's own bytes. */
  peek(key: Uint8Array): Promise<StoredState> {
    return this.#read(key, false)
  }

  decode(key: Uint8Array, bytes: Uint8Array): StoredState {
    return this.#decode(key, this.#owned(bytes), undefined)
  }

  /** LevelDB says of a damaged table, and a value log of a damaged value, that it cannot be read: others may have it. */
  async #read(key: Uint8Array, isGivenAway: boolean): Promise<StoredState> {
    let stored: SummedBytes | undefined
    try {
      stored = await readSummed(this.#database, key)
    } catch (error) {
      if (!hasCode(error, 'LEVEL_CORRUPTION') && !hasCode(error, 'ATOLL_CORRUPT')) throw readFailed(error)
      this.#tell(key)
      return UNREADABLE
    }
    if (stored === undefined) return NOTHING_STORED
    return this.#decode(key, isGivenAway ? this.#owned(stored.value) : stored.value, stored.crc32)
  }

  #decode(key: Uint8Array, bytes: Uint8Array, sum: number | undefined): StoredState {
    const state = decodeEnvelope(key, bytes, { crc32: this.#runtime.digest.crc32, sum })
    if (state.corrupt) this.#tell(key)
    return state
  }

  /** A stored value of another kind could not be read either. */
  tellCorruptEntry(key: Uint8Array): void {
    this.#runtime.metrics.count('atoll_vnode_corrupt_index_entries_total')
    this.#runtime.probe.mark('vnode.corrupt-index-entry')
    this.#runtime.log.warn({ key: toHex(key) }, 'a stored index entry fails its check')
  }

  #tell(key: Uint8Array): void {
    this.#runtime.metrics.count('atoll_vnode_corrupt_records_total')
    this.#runtime.probe.mark('vnode.corrupt-record')
    this.#runtime.log.warn({ key: toHex(key) }, 'a stored record fails its check')
  }

  /** A database in memory hands out the bytes that it keeps; what a reader does to them must not reach it. */
  #owned(bytes: Uint8Array): Uint8Array {
    return this.#database.supports.permanence
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      : new Uint8Array(bytes)
  }
}
