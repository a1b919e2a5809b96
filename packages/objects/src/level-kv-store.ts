import {
  checkInteger,
  compareBytes,
  decodeWith,
  encodeWith,
  endOfBytes,
  groupOf,
  isAtollError,
  type KeyId,
  type Runtime,
  shielded,
  type TupleCodec,
  toHex,
  wrongRange,
} from '@atoll/core'
import type { AbstractIteratorOptions } from 'abstract-level'
import { throwIfAborted } from './abort.ts'
import { KeyTurns } from './key-turns.ts'
import { KV_TYPES } from './kv-types.ts'
import { BINARY, LevelEvents, type LevelWriter, storageFailed, writerOf } from './level-events.ts'
import { indexKey, indexPrefix, positionOf, recordKey, termBound } from './level-keys.ts'
import { decodeRecord, encodeRecord, entriesOf, type LevelSibling, payloadsCodec } from './level-record.ts'
import { type LevelKvStoreOptions, validateLevelKvStoreOptions } from './options.ts'
import type {
  KvGetOptions,
  KvStore,
  KvStoreRead,
  KvStoreScan,
  KvStoreScanEntry,
  KvStoreScanPage,
  KvStoreWrite,
  KvStoreWritten,
  LevelDatabase,
  LevelOperation,
} from './ports.ts'

interface SignalOption {
  readonly signal?: AbortSignal | undefined
}

/** What a read has seen: every write up to this event. */
const contextCodec: TupleCodec<number> = {
  name: 'context',
  version: 1,
  encode: (event) => [event],
  decode: (reader) => reader.uint(),
}

/** What is read at once where most of it may lie below a common prefix that is passed over. */
const GROUPED_ROWS = 16

const DECLINED: KvStoreWritten = { accepted: 0, primaries: 0, context: undefined, alone: false }

/**
 * A key-value store on one abstract-level database, for one process without a ring. The database belongs to the caller,
 * who opens and closes it; nobody else may write to it meanwhile. A write is on disk, with its index entries, before it
 * is answered. A record that fails its checks is answered as missing, and counted. After a failed write no more are
 * taken until the caller has closed and opened the database (see `writeFenceOf` of `@atoll/core`). Throws
 * `ATOLL_STORAGE` or `ATOLL_CLOSED` if the database does, and `ATOLL_OVERLOADED` past `maxWrites`.
 */
export class LevelKvStore implements KvStore {
  readonly #runtime: Runtime
  readonly #database: LevelDatabase
  readonly #write: LevelWriter
  readonly #events: LevelEvents
  readonly #turns: KeyTurns

  constructor(
    runtime: Runtime,
    { database }: { readonly database: LevelDatabase },
    options: LevelKvStoreOptions = {},
  ) {
    this.#runtime = shielded(runtime)
    this.#database = database
    this.#write = writerOf(database)
    this.#events = new LevelEvents(database, this.#write)
    this.#turns = new KeyTurns(validateLevelKvStoreOptions(options).maxWrites)
  }

  async get(id: KeyId, { accept, signal }: KvGetOptions = {}): Promise<KvStoreRead> {
    throwIfAborted(signal)
    const siblings = await this.#read(id)
    if (siblings.length === 0) return { values: [], context: undefined }
    const values = siblings.map(({ value, valueCrc32 }) => ({ value, valueCrc32 }))
    const context = encodeWith(contextCodec, Math.max(...siblings.map(({ event }) => event)))
    return { values: accept === undefined ? values : values.filter(accept), context }
  }

  async put(id: KeyId, write: KvStoreWrite, { signal }: SignalOption = {}): Promise<KvStoreWritten> {
    throwIfAborted(signal)
    const { value, indexes = [], ifAlone = false, ifUnchanged } = write
    const valueCrc32 = write.valueCrc32 ?? this.#runtime.digest.crc32(value)
    if (isWriteOnce(id.type)) {
      if (indexes.length > 0)
        throw wrongRange('indexes', `must be empty for the type "${id.type}", whose records are written once`)
      const record = this.#encode([{ event: 0, value, valueCrc32, indexes }])
      await this.#commit([{ type: 'put', key: recordKey(id), value: record }])
      return { accepted: 1, primaries: 1, context: undefined, alone: false }
    }
    let written = DECLINED
    await this.#update(id, write.context, async (others, isUnchanged) => {
      if (ifUnchanged === undefined ? ifAlone && others.length > 0 : !isUnchanged) return undefined
      const event = await this.#events.next()
      const alone = ifAlone || ifUnchanged !== undefined
      written = { accepted: 1, primaries: 1, context: encodeWith(contextCodec, event), alone }
      return [{ event, value, valueCrc32, indexes }]
    })
    return written
  }

  async delete(
    id: KeyId,
    options: SignalOption & { readonly context?: Uint8Array | undefined } = {},
  ): Promise<void> {
    throwIfAborted(options.signal)
    if (isWriteOnce(id.type)) return this.#commit([{ type: 'del', key: recordKey(id) }])
    const everything = encodeWith(contextCodec, Number.MAX_SAFE_INTEGER)
    await this.#update(id, options.context ?? everything, async () => [])
  }

  async scan(scan: KvStoreScan, { signal }: SignalOption = {}): Promise<KvStoreScanPage> {
    throwIfAborted(signal)
    const { from, to, after, limit = 1000, groups } = scan
    checkInteger('limit', limit, { min: 1, max: 10_000 })
    const prefix = indexPrefix(scan)
    const end = to === undefined ? endOfBytes(prefix) : termBound(prefix, to)
    const first = { gte: from === undefined ? prefix : termBound(prefix, from) }
    const entries: KvStoreScanEntry[] = []
    let passed = after
    let want = groups === undefined ? limit + 1 : GROUPED_ROWS
    for (;;) {
      const start = passed === undefined ? first : { gt: passed }
      const rows = await this.#rows({ ...start, ...(end === undefined ? {} : { lt: end }), limit: want })
      const before = entries.length
      for (const [key, payloads] of rows) {
        if (passed !== undefined && compareBytes(key, passed) <= 0) continue
        if (entries.length === limit) return { entries, next: passed }
        const position = positionOf(key, prefix)
        entries.push({ ...position, payloads: decodeWith(payloadsCodec, payloads) })
        const group = groups && groupOf(position.term, groups)
        // No key is exactly this: every key goes on behind its term.
        passed = (group && endOfBytes(termBound(prefix, group))) ?? key
      }
      if (rows.length < want) return { entries, next: undefined }
      want = entries.length - before < rows.length ? GROUPED_ROWS : Math.min(2 * want, limit + 1)
    }
  }

  #rows(range: AbstractIteratorOptions<Uint8Array, Uint8Array>): Promise<[Uint8Array, Uint8Array][]> {
    return this.#database
      .iterator({ ...BINARY, ...range })
      .all()
      .catch(storageFailed({ definite: true }))
  }

  /**
   * Replaces the siblings that the context covers, and brings the index in line in the same batch. `added` is told of those
   * that it does not cover, and whether the last that it has seen is still the last, and may think better of it.
   */
  #update(
    id: KeyId,
    context: Uint8Array | undefined,
    added: (others: readonly LevelSibling[], isUnchanged: boolean) => Promise<LevelSibling[] | undefined>,
  ): Promise<void> {
    const seen = context === undefined ? 0 : decodeWith(contextCodec, context)
    const key = recordKey(id)
    return this.#turns.run(toHex(key), async () => {
      const before = await this.#read(id)
      const others = before.filter(({ event }) => event > seen)
      const last = before.reduce((latest, { event }) => Math.max(latest, event), 0)
      const news = await added(others, last === seen)
      if (news === undefined) return
      const after = [...others, ...news]
      const record: LevelOperation =
        after.length === 0 ? { type: 'del', key } : { type: 'put', key, value: this.#encode(after) }
      await this.#commit([record, ...indexChanges(id, before, after)])
    })
  }

  async #read(id: KeyId): Promise<LevelSibling[]> {
    const bytes = await this.#database.get(recordKey(id), BINARY).catch(storageFailed({ definite: true }))
    if (bytes === undefined) return []
    try {
      return decodeRecord(bytes, this.#runtime.digest.crc32)
    } catch (error) {
      if (!isAtollError(error, 'ATOLL_CORRUPT')) throw error
      this.#runtime.metrics.count('atoll_level_kv_corrupt_records_total')
      this.#runtime.log.warn({ type: id.type, err: error }, 'a damaged record is answered as missing')
      return []
    }
  }

  #encode(siblings: readonly LevelSibling[]): Uint8Array {
    return encodeRecord(siblings, this.#runtime.digest.crc32)
  }

  #commit(operations: LevelOperation[]): Promise<void> {
    return this.#write(operations)
  }
}

function isWriteOnce(type: string): boolean {
  const known = Object.entries(KV_TYPES).find(([name]) => name === type)
  return known?.[1].policy.kind === 'write-once'
}

function indexChanges(
  id: KeyId,
  before: readonly LevelSibling[],
  after: readonly LevelSibling[],
): readonly LevelOperation[] {
  const kept = new Map<string, LevelOperation>()
  for (const entry of entriesOf(after)) {
    const key = indexKey(id, entry)
    kept.set(toHex(key), { type: 'put', key, value: encodeWith(payloadsCodec, entry.payloads) })
  }
  const gone = entriesOf(before)
    .map((entry) => indexKey(id, entry))
    .filter((key) => !kept.has(toHex(key)))
    .map((key): LevelOperation => ({ type: 'del', key }))
  return [...gone, ...kept.values()]
}
