import {
  AtollError,
  type CompactOptions,
  checkBytes,
  checkInteger,
  type DirectoryUsage,
  describe,
  isBytes,
  Reopener,
  shielded,
  wrongType,
} from '@atoll/core'
import {
  type AbstractBatchOperation,
  type AbstractBatchOptions,
  type AbstractChainedBatch,
  type AbstractClearOptions,
  type AbstractDatabaseOptions,
  type AbstractDelOptions,
  type AbstractIteratorOptions,
  AbstractLevel,
  type AbstractPutOptions,
  type AbstractSnapshot,
} from 'abstract-level'
import { type ChunkRun, plainSum } from './checksum.ts'
import { LogReads, type Range } from './log-reads.ts'
import type { OpenChoice } from './open-directory.ts'
import { OP_DELETE, type Op } from './operation.ts'
import { operationOf } from './operation-of.ts'
import { type ValueLogOptions, type ValueLogSettings, validateValueLogOptions } from './options.ts'
import { ABOVE_ALL_KEYS, innerKeyOf, isPointer } from './pointer.ts'
import type { ValueLogRuntime } from './ports.ts'
import type {
  BytesBatchOptions,
  BytesOperation,
  GetRangeOptions,
  LogWriteOptions,
  ReadOptions,
  SummedValue,
  ValueLogUsage,
} from './requests.ts'
import { storageError, storing } from './storage-error.ts'
import { openValueLog, type ValueLog, type ValueLogParts } from './value-log.ts'
import { ValueLogIterator } from './value-log-iterator.ts'
import { ValueLogSnapshot } from './value-log-snapshot.ts'

/** Options of abstract-level, such as `keyEncoding`, with those of the value log beside them. */
export interface ValueLogLevelOptions<K, V> extends AbstractDatabaseOptions<K, V> {
  readonly valueLog?: ValueLogOptions
}

/** What abstract-level calls the format of keys and values: the same as that of classic-level. */
type Format = string | Buffer | Uint8Array

type Operation = Omit<Extract<BytesOperation, { type: 'put' }>, 'tail' | 'tailCrc32'> | Deletion
type Deletion = Extract<BytesOperation, { type: 'del' }>

const CLEAR_KEYS = 1000

/** An open log, and what is read from it. */
interface Opened extends ValueLog {
  readonly from: LogReads
}

/** The writes of abstract-level, with `sync`: as classic-level has them. */
export interface ValueLogLevel<K, V> {
  put(key: K, value: V): Promise<void>
  put<A = K, B = V>(key: A, value: B, options: AbstractPutOptions<A, B> & LogWriteOptions): Promise<void>
  del(key: K): Promise<void>
  del<A = K>(key: A, options: AbstractDelOptions<A> & LogWriteOptions): Promise<void>
  batch(): AbstractChainedBatch<this, K, V>
  batch(operations: AbstractBatchOperation<this, K, V>[]): Promise<void>
  batch<A = K, B = V>(
    operations: AbstractBatchOperation<this, A, B>[],
    options: AbstractBatchOptions<A, B> & LogWriteOptions,
  ): Promise<void>
  clear(): Promise<void>
  clear<A = K>(options: AbstractClearOptions<A> & LogWriteOptions): Promise<void>
}

/**
 * An abstract-level database with its large values in a log of segment files: they are written once, and the database
 * below holds keys, pointers and small values (the idea of WiscKey, FAST 2016). All batches go through the log first,
 * where those that come while one is being synced share the next sync; the database below follows without syncing, and
 * is brought up to the log after a crash. Options of writes: `sync` (default false): acknowledge when it is durable. A
 * batch is whole or absent after a crash, and a synced one makes all before it durable. Errors are `AtollError`s:
 * `ATOLL_CORRUPT` for a value that fails its checksum, `ATOLL_DISK_FULL` if there is no room and `ATOLL_STORAGE` if the
 * disk fails, `ATOLL_OVERLOADED` past `maxPendingBytes`, and as the cause of a failed open also `ATOLL_LOCKED` and
 * `ATOLL_FORMAT`. After a failed sync no more writes are taken until the database is opened again. If it is the
 * database below that fails, it is opened again by itself, as soon as there is room.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the methods are inherited; the interface only widens their options.
export class ValueLogLevel<K = string, V = string> extends AbstractLevel<Format, K, V> {
  /** A write that comes after a failed one is as safe as any other: nodes need not open the database again for it. */
  readonly safeAfterFailedWrite = true
  readonly #runtime: ValueLogRuntime
  readonly #parts: ValueLogParts
  readonly #settings: ValueLogSettings
  readonly #held: Promise<void>
  readonly #reopener: Reopener<AtollError>
  #opened: Opened | undefined

  constructor(runtime: ValueLogRuntime, parts: ValueLogParts, options: ValueLogLevelOptions<K, V> = {}) {
    const { supports } = parts.inner
    const { valueLog = {}, ...levelOptions } = options
    super(
      {
        encodings: { view: true },
        seek: true,
        has: true,
        createIfMissing: true,
        errorIfExists: true,
        permanence: supports.permanence,
        implicitSnapshots: supports.implicitSnapshots,
        explicitSnapshots: supports.explicitSnapshots,
        additionalMethods: {
          getRange: true,
          getSummed: true,
          findSummed: true,
          batchBytes: true,
          compact: true,
          usage: true,
          space: true,
          hasRoom: true,
        },
      },
      levelOptions,
    )
    this.#runtime = shielded(runtime)
    this.#parts = parts
    this.#settings = validateValueLogOptions(valueLog)
    // A database of this family opens itself soon after it was made, and creates what is missing: only the log knows
    // whether that is right.
    this.#held = parts.inner.close().catch(() => {})
    const { label } = parts.files
    this.#reopener = new Reopener({
      runtime: this.#runtime,
      label,
      freeBytes: () => parts.files.freeBytes(),
      reopen: () => this.#reopen(),
      onReopened: () => this.#runtime.metrics.count('atoll_value_log_reopened_total'),
    })
  }

  /**
   * Bytes `start` to `end` of a value, reading little more than these; `undefined` if there is no such key. The
   * range is cut to the length of the value. The key is in the key encoding of the database; the result is bytes as
   * they are stored, whatever the value encoding.
   */
  async getRange(key: K, options: GetRangeOptions = {}): Promise<Uint8Array | undefined> {
    if (this.status === 'opening') await this.open({ passive: true })
    const start = checkInteger('start', options.start ?? 0, UP_TO_ANY)
    const end = checkInteger('end', options.end ?? Number.MAX_SAFE_INTEGER, { ...UP_TO_ANY, min: start })
    const { values, from } = this.#open
    const innerKey = innerKeyOf(bytesOf(this.keyEncoding().encode(key)))
    return from.read(innerKey, options, (stored) => {
      if (!isPointer(stored)) return stored.subarray(start, end)
      const range = { start: Math.min(start, stored.bytes), end: Math.min(end, stored.bytes) }
      return values.readRange(innerKey, stored, range)
    })
  }

  /**
   * As `get`, with the CRC-32 of the value: it follows from the checksums that reading has compared, so whoever has a
   * checksum of his own need not pass over the bytes once more. Key and value are bytes, whatever the encodings.
   */
  async getSummed(key: Uint8Array, options: ReadOptions = {}): Promise<SummedValue | undefined> {
    if (this.status === 'opening') await this.open({ passive: true })
    return await this.#summed(key, options)
  }

  /**
   * As `getSummed`, and answers at once, without a promise, what is found without waiting for a disk. Throws at once,
   * too.
   */
  findSummed(key: Uint8Array): SummedValue | undefined | Promise<SummedValue | undefined> {
    return this.status === 'opening' ? this.getSummed(key) : this.#summed(key, {})
  }

  #summed(key: Uint8Array, options: ReadOptions): SummedValue | undefined | Promise<SummedValue | undefined> {
    const { values, from } = this.#open
    const innerKey = innerKeyOf(checkBytes('key', key, UP_TO_ANY))
    return from.read(innerKey, options, (stored) => {
      if (!isPointer(stored)) return { value: stored, crc32: undefined }
      const run = values.readRun(innerKey, stored)
      return run instanceof Promise ? run.then(summed) : summed(run)
    })
  }

  /**
   * As `batch`, for those who have bytes already: keys and values are taken as they are, whatever the encodings, and a
   * value may come in two parts, of which none is copied. Hooks, sublevels and events of abstract-level have no part in it.
   * Batches of one chain need not wait for each other.
   */
  async batchBytes(operations: readonly BytesOperation[], options: BytesBatchOptions = {}): Promise<void> {
    const { chain } = options
    try {
      if (this.status === 'opening') await this.open({ passive: true })
      await this.#appendAll(operations, options)
    } catch (error) {
      if (chain !== undefined) chain.failure ??= storageError('a batch', error)
      throw error
    }
  }

  /**
   * Counts what is in use, and compacts now what gives back a tenth of a segment or more, at the rate that the options
   * allow. That happens by itself, to what is less in use; this is for whoever cannot wait. Rejects with the reason of
   * the signal, `ATOLL_CLOSED`, `ATOLL_DISK_FULL` or `ATOLL_STORAGE`; what was done stays.
   */
  async compact(options: CompactOptions = {}): Promise<void> {
    if (this.status === 'opening') await this.open({ passive: true })
    await this.#open.compactor.compactAll(options)
    options.signal?.throwIfAborted()
    const { inner } = this.#parts
    if (inner.supports.additionalMethods['compactRange'] !== true) return
    await storing('compacting the inner database', async () =>
      inner.compactRange?.(Uint8Array.of(0), ABOVE_ALL_KEYS, { keyEncoding: 'view' }),
    )
  }

  /** What the two directories take, the disk asked. */
  async space(): Promise<readonly DirectoryUsage[]> {
    if (this.status === 'opening') await this.open({ passive: true })
    const { liveBytes, deadBytes, freeBytes } = this.usage()
    const { files, innerFiles } = this.#parts
    const unknown = { liveBytes: undefined, deadBytes: undefined, freeBytes: undefined }
    return storing('asking what the files take', async () => [
      {
        path: files.label,
        holds: 'values',
        liveBytes,
        deadBytes,
        freeBytes,
        diskBytes: await files.usedBytes?.(),
      },
      { path: innerFiles?.label, holds: 'index', ...unknown, diskBytes: await innerFiles?.usedBytes?.() },
    ])
  }

  /** What the log takes at the moment. */
  usage(): ValueLogUsage {
    const { segments, log } = this.#open
    const all = [...segments.all()]
    return {
      liveBytes: segments.totalLive,
      deadBytes: segments.deadBytes(log.applied),
      freeBytes: segments.freeBytes(log.applied),
      diskBytes: all.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      segments: all.length,
      freeSegments: all.filter(({ state }) => state === 'free').length,
    }
  }

  async _open(options: { createIfMissing: boolean; errorIfExists: boolean }): Promise<void> {
    await this.#held
    this.#reopener.start()
    await this.#openLog(options)
  }

  async #openLog(options: OpenChoice): Promise<void> {
    const opening = { ...this.#parts, runtime: this.#runtime, settings: this.#settings }
    const opened = await openValueLog(opening, options)
    // What a failed sync has left on the disk nobody knows. It may be another disk that must be read from.
    opened.log.onFailed = (failure) => {
      if (!opened.log.canApply) this.#reopener.failed(failure)
    }
    this.#opened = { ...opened, from: new LogReads(this.#parts.inner, opened) }
  }

  /** Iterators and snapshots end by it; other reads fail for the moment that it takes. */
  async #reopen(): Promise<void> {
    const failed = this.#opened
    this.#opened = undefined
    await failed?.abandon()
    await this.#openLog({ createIfMissing: false, errorIfExists: false })
  }

  async _close(): Promise<void> {
    await this.#reopener.stop()
    const opened = this.#opened
    this.#opened = undefined
    await opened?.close()
  }

  _put(key: Uint8Array, value: Uint8Array, options: LogWriteOptions): Promise<void> {
    return this.#appendAll([{ type: 'put', key, value }], options)
  }

  _del(key: Uint8Array, options: LogWriteOptions): Promise<void> {
    return this.#appendAll([{ type: 'del', key }], options)
  }

  _batch(operations: readonly Operation[], options: LogWriteOptions): Promise<void> {
    return this.#appendAll(operations, options)
  }

  /** Deletes what is there when it begins, some keys at a time: as a whole it is not atomic. */
  async _clear(options: Range & LogWriteOptions): Promise<void> {
    const iterator = await this.#open.from.iterate({ ...options, values: false })
    try {
      for (;;) {
        const entries = await iterator.nextv(CLEAR_KEYS)
        if (entries.length === 0) return
        const ops = entries.map(
          ([key]): Op => ({ type: OP_DELETE, key: key.subarray(1), replaces: undefined }),
        )
        await this.#append(ops, options)
      }
    } finally {
      await iterator.close()
    }
  }

  _get(key: Uint8Array, options: ReadOptions): Promise<Uint8Array | undefined> {
    return this.#open.from.get(key, options)
  }

  async _getMany(keys: readonly Uint8Array[], options: ReadOptions): Promise<(Uint8Array | undefined)[]> {
    return this.#open.from.getMany(keys, options)
  }

  async _has(key: Uint8Array, options: ReadOptions): Promise<boolean> {
    return this.#open.from.has(key, options)
  }

  async _hasMany(keys: readonly Uint8Array[], options: ReadOptions): Promise<boolean[]> {
    return this.#open.from.hasMany(keys, options)
  }

  _iterator(
    options: Range & AbstractIteratorOptions<Uint8Array | undefined, Uint8Array | undefined>,
  ): ValueLogIterator<this> {
    const { readers, values, from } = this.#open
    const ticket = readers.enter()
    // The limit counts what is returned; after a seek that is not what the inner iterator has read.
    const inner = from.iterate({ ...options, limit: -1 })
    return new ValueLogIterator(this, options, { inner, values, leave: () => readers.leave(ticket) })
  }

  _snapshot(options: { owner: object }): AbstractSnapshot {
    const { readers, from } = this.#open
    const ticket = readers.enter()
    const inner = from.snapshot()
    return new ValueLogSnapshot(options, { inner, readers, ticket })
  }

  /** Why it takes no writes at the moment; undefined if the last one was taken. */
  get failure(): AtollError | undefined {
    return this.#opened?.log.failure ?? this.#reopener.failure
  }

  /**
   * False while the disk has less room than `spareBytes`. All writes are still taken, as long as there is any: whoever asks
   * should now only write what makes room.
   */
  hasRoom(): boolean {
    return this.#opened?.room.isEnough() ?? true
  }

  get #open(): Opened {
    if (this.#opened !== undefined) return this.#opened
    const { failure } = this.#reopener
    if (failure !== undefined) {
      const message = `the value log at ${this.#parts.files.label} is being opened again after a failure`
      throw new AtollError('ATOLL_STORAGE', message, { cause: failure, definite: true, transient: true })
    }
    throw new AtollError('ATOLL_CLOSED', `the value log at ${this.#parts.files.label} is ${this.status}`)
  }

  #appendAll(operations: readonly BytesOperation[], options: BytesBatchOptions): Promise<void> {
    const choice = { thresholdBytes: this.#settings.thresholdBytes, tellsReplaced: options.tellsReplaced }
    const ops = operations.map((operation) => operationOf(operation, choice))
    return ops.length === 0 ? Promise.resolve() : this.#append(ops, options)
  }

  #append(ops: readonly Op[], { sync, chain }: BytesBatchOptions): Promise<void> {
    return this.#open.log.append(ops, sync === true ? 'durable' : 'written', chain)
  }
}

function summed(run: ChunkRun): SummedValue {
  return { value: run.bytes, crc32: plainSum(run) }
}

function bytesOf(encoded: Format): Uint8Array {
  if (isBytes(encoded)) return encoded
  throw wrongType('key', `must be encoded as bytes, got ${describe(encoded)}`)
}

const UP_TO_ANY = { min: 0, max: Number.MAX_SAFE_INTEGER }
