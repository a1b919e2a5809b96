import {
  AtollError,
  behindWrite,
  describe,
  type KeyId,
  type Runtime,
  utf8,
  wallTimeOf,
  wrongRange,
} from '@atoll/core'
import { abortable } from './abort.ts'
import { checkBucketName } from './bucket-name.ts'
import { type BucketRecord, decodeBucket, encodeBucket } from './codec.ts'
import { BUCKETS_TYPE, DEFAULT_BUCKET_TYPE, LIST_INDEX, objectTypeOf, objectTypesOf } from './kv-types.ts'
import { walkIndex } from './listing.ts'
import { checkString } from './metadata.ts'
import type { KvStore, KvStoreRead, KvStoreValue } from './ports.ts'
import { readQuorumOf, saysNothing, writeQuorumOf } from './quorums.ts'
import type { BucketListOptions, CreateBucketOptions, DeleteOptions, ReadOptions } from './requests.ts'
import { SharedReads } from './shared-reads.ts'

export interface BucketInfo {
  readonly name: string
  readonly createdMs: number
  /** By which bucket types its objects are stored: those that `createBucket` was told. */
  readonly type: string
}

export interface BucketPage {
  /** In the order of their names. */
  readonly buckets: readonly BucketInfo[]
  /** `after` of the next page; undefined after the last. */
  readonly next: string | undefined
}

/** What a creation has read of the record. */
interface Before {
  readonly records: readonly BucketRecord[]
  readonly context: Uint8Array | undefined
}

interface Making {
  readonly before: Before
  readonly options: CreateBucketOptions
  readonly ifUnchanged: 'one' | undefined
}

const BUCKET = utf8('buckets')
const CREATE_ROUNDS = 8
const PAUSE_MS = 20
/** Buckets of which the type is remembered. */
const MAX_TYPES = 10_000

/**
 * The bucket records. They are eventual: two nodes that create one name at the same time both succeed. But a bucket has
 * one type for good, since its objects are found by it. So a record of another type than the default is proposed first,
 * by a write that every primary has to say of that it met nothing, and then decided; one of the default type begins at
 * a primary that holds nothing. Of a write of either kind over the same, never both count (`ifUnchanged`).
 */
export class Buckets {
  readonly #runtime: Runtime
  readonly #kv: KvStore
  /** Every PUT asks for its bucket, and mostly all of them for the same one. */
  readonly #reads: SharedReads<BucketInfo>
  /** As last seen, of buckets that are not of the default type. Whoever finds nothing there asks for the bucket. */
  readonly #types = new Map<string, string>()

  constructor(runtime: Runtime, kv: KvStore) {
    this.#runtime = runtime
    this.#kv = kv
    this.#reads = new SharedReads(runtime.clock, async (name) =>
      this.#infoOf(name, await this.#read(name, {})),
    )
  }

  /** Throws `TypeError` or `RangeError` for a type by which this store cannot keep objects. */
  checkType(type: unknown): void {
    if (type === undefined || this.#hasType(checkString('type', type))) return
    const { manifests, blocks } = objectTypeOf(checkString('type', type))
    throw wrongRange(
      'type',
      `must be a type for objects, of which "${manifests}" keeps siblings and "${blocks}" is written once, got ${describe(type)}`,
    )
  }

  async create(name: string, options: CreateBucketOptions): Promise<BucketInfo> {
    const { signal, type = DEFAULT_BUCKET_TYPE } = options
    const id = bucketId(name)
    const record = { createdMs: wallTimeOf(this.#runtime.clock), type, decided: true }
    for (let round = 0; round < CREATE_ROUNDS; round++) {
      const before = await this.#before(id, { options, repair: round > 0 })
      if (before.records.some(isDecided))
        throw new AtollError('ATOLL_BUCKET_EXISTS', `bucket "${name}" exists already`)
      const isPlain = type === DEFAULT_BUCKET_TYPE && before.records.length === 0
      // Where replicas are just being added nobody can say that nothing is there: the default type goes without, as it
      // did before.
      const ifUnchanged = round < CREATE_ROUNDS - 1 ? 'one' : undefined
      const making = { before, options, ifUnchanged } as const
      const creating = isPlain ? this.#begin(id, record, making) : this.#decide(id, record, making)
      if (await abortable(signal, creating)) return this.#infoIn(name, [record])
      await this.#runtime.clock.sleep(1 + this.#runtime.random.below(PAUSE_MS))
    }
    const message = `bucket "${name}" is being created by others, or replicas of its record are being added`
    throw new AtollError('ATOLL_OVERLOADED', message)
  }

  async delete(name: string, options: DeleteOptions): Promise<void> {
    const { signal } = options
    const read = await this.#read(name, options)
    const { type } = this.#infoOf(name, read)
    if (!(await this.#isEmpty({ name, type }, options)))
      throw new AtollError('ATOLL_BUCKET_NOT_EMPTY', `bucket "${name}" still holds objects`)
    const asked = { ...writeQuorumOf(options), signal, context: read.context }
    await abortable(signal, this.#kv.delete(bucketId(name), asked))
  }

  /** Throws `ATOLL_BUCKET_NOT_FOUND`. What is asked of the replicas in a way of its own is asked by itself. */
  async require(name: string, options: ReadOptions): Promise<BucketInfo> {
    if (saysNothing(readQuorumOf(options))) return await abortable(options.signal, this.#reads.get(name))
    return this.#infoOf(name, await this.#read(name, options))
  }

  /** Where to look first for what a bucket holds. */
  likelyTypeOf(name: string): string {
    return this.#types.get(name) ?? DEFAULT_BUCKET_TYPE
  }

  async list(options: BucketListOptions): Promise<BucketPage> {
    const { entries, next } = await walkIndex(this.#kv, { type: BUCKETS_TYPE, scope: BUCKET }, options)
    const buckets = entries.map(({ name, payloads }) => ({ name, ...bucketOf(payloads.map(decodeBucket)) }))
    return { buckets, next }
  }

  async #before(
    id: KeyId,
    { options, repair }: { readonly options: CreateBucketOptions; readonly repair: boolean },
  ): Promise<Before> {
    const { signal } = options
    const reading = this.#kv.get(id, {
      ...readQuorumOf(options),
      signal,
      shows,
      ...(repair ? { repair } : {}),
    })
    const { values, context } = await abortable(signal, reading)
    return { records: values.map(({ value }) => decodeBucket(value)), context }
  }

  /** False if somebody else has begun. */
  async #begin(id: KeyId, record: BucketRecord, { before, options, ifUnchanged }: Making): Promise<boolean> {
    const value = encodeBucket(record)
    const indexes = [{ index: LIST_INDEX, scope: BUCKET, term: id.key, payload: value }]
    const asked = { ...writeQuorumOf(options), signal: options.signal }
    const write = { value, indexes, context: before.context, ifUnchanged }
    return (await this.#kv.put(id, write, asked)).accepted > 0
  }

  async #decide(id: KeyId, record: BucketRecord, { before, options }: Making): Promise<boolean> {
    const value = encodeBucket({ ...record, decided: false })
    const asked = { ...writeQuorumOf(options), signal: options.signal }
    const write = { value, context: before.context, ifUnchanged: 'all' } as const
    const { accepted, alone, context } = await this.#kv.put(id, write, asked)
    if (accepted === 0 || !alone) return false
    const proposed = { before: { ...before, context }, options, ifUnchanged: 'one' } as const
    return await behindWrite(() => this.#begin(id, record, proposed))
  }

  async #read(name: string, options: ReadOptions): Promise<KvStoreRead> {
    const { signal } = options
    const reading = this.#kv.get(bucketId(name), { ...readQuorumOf(options), signal, shows })
    const read = await abortable(signal, reading)
    if (shows(read.values)) return read
    this.#types.delete(name)
    throw noBucket(name)
  }

  async #isEmpty({ name, type }: Pick<BucketInfo, 'name' | 'type'>, options: ReadOptions): Promise<boolean> {
    const { signal } = options
    const asked = { ...readQuorumOf(options), signal }
    const place = { type: objectTypeOf(type).manifests, index: LIST_INDEX, scope: utf8(name) }
    let after: Uint8Array | undefined
    do {
      const { entries, next } = await abortable(signal, this.#kv.scan({ ...place, after, limit: 1 }, asked))
      if (entries.length > 0) return false
      after = next
    } while (after !== undefined)
    return true
  }

  #infoOf(name: string, { values }: KvStoreRead): BucketInfo {
    return this.#infoIn(
      name,
      values.map(({ value }) => decodeBucket(value)),
    )
  }

  /** Throws `ATOLL_FORMAT` for a type that this node has not heard of. */
  #infoIn(name: string, records: readonly BucketRecord[]): BucketInfo {
    const info = { name, ...bucketOf(records) }
    if (!this.#hasType(info.type)) {
      const message = `bucket "${name}" is of the type "${info.type}", which this node does not know yet`
      throw new AtollError('ATOLL_FORMAT', message, { transient: true, details: { type: info.type } })
    }
    this.#remember(info)
    return info
  }

  #remember({ name, type }: BucketInfo): void {
    this.#types.delete(name)
    if (type === DEFAULT_BUCKET_TYPE) return
    const [oldest] = this.#types.keys()
    if (this.#types.size >= MAX_TYPES && oldest !== undefined) this.#types.delete(oldest)
    this.#types.set(name, type)
  }

  #hasType(type: string): boolean {
    return type === DEFAULT_BUCKET_TYPE || objectTypesOf(this.#kv).some(({ name }) => name === type)
  }
}

export function bucketId(name: string): KeyId {
  return { type: BUCKETS_TYPE, bucket: BUCKET, key: utf8(checkBucketName(name)) }
}

export function noBucket(name: string): AtollError {
  return new AtollError('ATOLL_BUCKET_NOT_FOUND', `there is no bucket "${name}"`)
}

function isDecided({ decided }: BucketRecord): boolean {
  return decided
}

function shows(values: readonly KvStoreValue[]): boolean {
  return values.some(({ value }) => decodeBucket(value).decided)
}

/** Of bucket records that were created at the same time, the one that was first; they are of one type. */
function bucketOf(records: readonly BucketRecord[]): Omit<BucketInfo, 'name'> {
  const decided = records.filter(isDecided)
  const [first, ...others] = decided.length > 0 ? decided : records
  if (first === undefined) throw new AtollError('ATOLL_CORRUPT', 'a bucket record says nothing')
  const { createdMs, type } = others.reduce((a, b) => (b.createdMs < a.createdMs ? b : a), first)
  return { createdMs, type }
}
