import { isWhole, type RecordHead, type StoredRecord } from '@atoll/causality'
import { AtollError, assert, borrowedCopy, equalBytes, type Runtime, toHex } from '@atoll/core'
import { BINARY, isDamage, readFailed, readSummed } from './database.ts'
import {
  decodeBody,
  decodeEnvelope,
  NOTHING_STORED,
  type StoredHead,
  type StoredState,
  UNREADABLE,
} from './envelope.ts'
import { bodyKeyOf, olderKeyOf, partitionOfKey } from './layout.ts'
import type { Database, SummedBytes } from './ports.ts'

const NOTHING_READ: StoredState = { record: undefined, corrupt: false }
const DAMAGED: StoredState = { record: undefined, corrupt: true }
/** Each further one follows on a write that came to the disk since the one before. */
const MOST_READS = 16

/** Reads records, checks every byte, and tells about those that fail. */
export class RecordReader {
  readonly #runtime: Runtime
  readonly #database: Database
  readonly #olderHeads: ReadonlySet<number>

  /** `olderHeads` are the partitions of which heads may lie where builds before have put them. */
  constructor(runtime: Runtime, database: Database, olderHeads: ReadonlySet<number> = new Set()) {
    this.#runtime = runtime
    this.#database = database
    this.#olderHeads = olderHeads
  }

  /**
   * A record with its values. Throws `ATOLL_STORAGE` only if the database itself fails, and `ATOLL_OVERLOADED` if the record
   * is written again and again while it is read.
   */
  read(key: Uint8Array): Promise<StoredState> {
    return this.#whole(key, true)
  }

  /** As `read`, for those who give no value away: they may be the database's own bytes. */
  peek(key: Uint8Array): Promise<StoredState> {
    return this.#whole(key, false)
  }

  /**
   * What there is of a record, for those who give no value away: values that lie apart are not read. At once where the
   * database answers at once.
   */
  head(key: Uint8Array): StoredHead | Promise<StoredHead> {
    const older = this.#olderKeyOf(key)
    return older === undefined ? this.headAt(key) : this.#eitherHead(older, key)
  }

  /** As `head`, of exactly that key, of whichever build it is. */
  headAt(key: Uint8Array): StoredHead | Promise<StoredHead> {
    try {
      const stored = readSummed(this.#database, key)
      return stored instanceof Promise ? this.#headIn(key, stored) : this.#headOf(key, stored)
    } catch (error) {
      return this.#unread(key, error)
    }
  }

  async #headIn(key: Uint8Array, reading: Promise<SummedBytes | undefined>): Promise<StoredHead> {
    try {
      return this.#headOf(key, await reading)
    } catch (error) {
      return this.#unread(key, error)
    }
  }

  #headOf(key: Uint8Array, stored: SummedBytes | undefined): StoredHead {
    return stored === undefined ? NOTHING_STORED : this.#decode(key, stored.value, stored.crc32)
  }

  /** Throws what is no damage. */
  #unread(key: Uint8Array, error: unknown): StoredHead {
    if (!isDamage(error)) throw readFailed(error)
    this.#tell(key)
    return UNREADABLE
  }

  /** What lies there of a record, unchecked, with its key. */
  async row(
    key: Uint8Array,
  ): Promise<readonly [key: Uint8Array, bytes: Uint8Array] | 'unreadable' | undefined> {
    const older = this.#olderKeyOf(key)
    try {
      for (const at of older === undefined ? [key] : [older, key]) {
        const bytes = await this.#database.get(at, BINARY)
        if (bytes !== undefined) return [at, bytes]
      }
      return undefined
    } catch (error) {
      if (!isDamage(error)) throw readFailed(error)
      this.#tell(key)
      return 'unreadable'
    }
  }

  /** As `head`, of a row that was read. Its values are given away. */
  decode(key: Uint8Array, bytes: Uint8Array): StoredHead {
    return this.#decode(key, this.#owned(bytes), undefined)
  }

  /** The values of a head that was read in the same snapshot; undefined if they are damaged, which is told. */
  body(key: Uint8Array, head: Uint8Array, bytes: Uint8Array | undefined): StoredRecord | undefined {
    const record = bytes === undefined ? 'corrupt' : this.#decodeBody(head, this.#owned(bytes), undefined)
    if (typeof record !== 'string') return record
    this.#tell(key)
    return undefined
  }

  /** Undefined if nothing of the partition lies where builds before have put it. */
  #olderKeyOf(key: Uint8Array): Uint8Array | undefined {
    if (this.#olderHeads.size === 0 || !this.#olderHeads.has(partitionOfKey(key))) return undefined
    return olderKeyOf(key)
  }

  /** A head moves from there to here, and never back: so whoever looks there first does not miss it. */
  async #eitherHead(older: Uint8Array, key: Uint8Array): Promise<StoredHead> {
    const found = await this.headAt(older)
    return found === NOTHING_STORED ? this.headAt(key) : { ...found, isOlder: true }
  }

  #whole(key: Uint8Array, isGivenAway: boolean): Promise<StoredState> {
    const older = this.#olderKeyOf(key)
    return older === undefined ? this.#wholeAt(key, isGivenAway) : this.#eitherWhole(older, key, isGivenAway)
  }

  async #eitherWhole(older: Uint8Array, key: Uint8Array, isGivenAway: boolean): Promise<StoredState> {
    const found = await this.#wholeAt(older, isGivenAway)
    return found === NOTHING_READ ? this.#wholeAt(key, isGivenAway) : found
  }

  /**
   * A write that comes between the reads of the head and of the values replaces both: values that are not of the head are
   * damaged only if the head is still the same.
   */
  async #wholeAt(key: Uint8Array, isGivenAway: boolean): Promise<StoredState> {
    let before: Uint8Array | undefined
    for (let reads = 0; reads < MOST_READS; reads++) {
      const stored = await this.#get(key)
      if (stored === undefined) return NOTHING_READ
      if (stored === 'corrupt') return this.#damaged(key)
      const bytes = isGivenAway ? this.#owned(stored.value) : stored.value
      const { record, corrupt, headOfBody } = this.#decode(key, bytes, stored.crc32)
      if (record === undefined || corrupt) return DAMAGED
      if (headOfBody === undefined) return wholeOf(record)
      if (before !== undefined && equalBytes(before, headOfBody)) return this.#damaged(key)
      const body = await this.#bodyOf(key, headOfBody, isGivenAway)
      if (body === 'corrupt') return this.#damaged(key)
      if (typeof body !== 'string') return { record: body, corrupt: false }
      this.#runtime.probe.mark('vnode.read-between-writes')
      before = new Uint8Array(headOfBody)
    }
    const message = 'the record is written again and again while it is read'
    throw new AtollError('ATOLL_OVERLOADED', message, { definite: true, transient: true })
  }

  async #bodyOf(key: Uint8Array, head: Uint8Array, isGivenAway: boolean) {
    const bodyKey = bodyKeyOf(key)
    const stored = await this.#get(bodyKey)
    if (stored === undefined) return 'of another'
    if (stored === 'corrupt') return stored
    return this.#decodeBody(head, isGivenAway ? this.#owned(stored.value) : stored.value, stored.crc32)
  }

  #decodeBody(head: Uint8Array, bytes: Uint8Array, sum: number | undefined) {
    const { crc32, sha1 } = this.#runtime.digest
    return decodeBody(head, bytes, { crc32, sha1, sum })
  }

  async #get(key: Uint8Array): Promise<SummedBytes | 'corrupt' | undefined> {
    try {
      return await readSummed(this.#database, key)
    } catch (error) {
      if (!isDamage(error)) throw readFailed(error)
      return 'corrupt'
    }
  }

  #decode(key: Uint8Array, bytes: Uint8Array, sum: number | undefined): StoredHead {
    const state = decodeEnvelope(key, bytes, { crc32: this.#runtime.digest.crc32, sum })
    if (state.corrupt) this.#tell(key)
    return state
  }

  #damaged(key: Uint8Array): StoredState {
    this.#tell(key)
    return DAMAGED
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

  /**
   * A database in memory hands out the bytes that it keeps; what a reader does to them must not reach it. A reader that is
   * done with a large copy may return it.
   */
  #owned(bytes: Uint8Array): Uint8Array {
    return this.#database.supports.permanence
      ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      : borrowedCopy(bytes)
  }
}

/** A sound record of which no values lie apart has them all. */
export function wholeOf(record: RecordHead): StoredState & { readonly record: StoredRecord } {
  assert(isWhole(record), 'values that do not lie apart are there')
  return { record, corrupt: false }
}
