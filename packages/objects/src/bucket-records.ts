import { AtollError, isAtollError, type KeyId, type Runtime, utf8 } from '@atoll/core'
import { abortable } from './abort.ts'
import {
  type Bucket,
  type BucketInfo,
  BucketKnowledge,
  type Instant,
  instantOf,
  newBucket,
  noBucket,
} from './bucket-knowledge.ts'
import { checkBucketName } from './bucket-name.ts'
import { type BucketRecord, decodeBucket, encodeBucket, isThere, joinBuckets } from './bucket-record.ts'
import { BUCKETS_TYPE, DEFAULT_BUCKET_TYPE, LIST_INDEX, objectTypesOf } from './kv-types.ts'
import { walkIndex } from './listing.ts'
import type { KvIndexEntry, KvStore, KvStoreValue, KvStoreWrite, KvStoreWritten } from './ports.ts'
import { readQuorumOf, saysNothing, writeQuorumOf } from './quorums.ts'
import type { BucketListOptions, DeleteOptions, ReadOptions } from './requests.ts'

export interface BucketPage {
  /** In the order of their names. */
  readonly buckets: readonly BucketInfo[]
  /** `after` of the next page; undefined after the last. */
  readonly next: string | undefined
}

/** What is read of a record before it is written. */
export interface BucketHistory {
  readonly records: readonly BucketRecord[]
  /** Covers them. */
  readonly context: Uint8Array | undefined
}

/** A bucket that is there, and what the next write of its record goes by. */
export interface BucketRead {
  readonly bucket: Bucket
  readonly record: BucketRecord
  readonly context: Uint8Array | undefined
}

/** Upon what a record is written. */
export interface BucketWrite extends Pick<KvStoreWrite, 'context' | 'ifUnchanged'> {
  readonly options: DeleteOptions
}

const BUCKET = utf8('buckets')
const LONG_AGO: Instant = { monotonicMs: 0, wallMs: 0 }

/** The bucket records in the key-value store, and what this node remembers of them. */
export class BucketRecords {
  readonly knowledge: BucketKnowledge
  readonly #clock: Runtime['clock']
  readonly #kv: KvStore

  constructor({ clock }: Pick<Runtime, 'clock'>, kv: KvStore) {
    this.knowledge = new BucketKnowledge(clock)
    this.#clock = clock
    this.#kv = kv
  }

  /** Throws `ATOLL_BUCKET_NOT_FOUND`, and `ATOLL_FORMAT` for a type that this node has not heard of. */
  async read(name: string, options: ReadOptions): Promise<BucketRead> {
    const began = instantOf(this.#clock)
    const { records, context } = await this.history(name, { options, repair: false })
    const record = joinBuckets(records)
    if (!isThere(record)) {
      this.knowledge.forget(name)
      throw noBucket(name)
    }
    return { bucket: this.learn(name, record, { began, options }), record, context }
  }

  /** All that there is, also of a bucket that is not there. */
  async history(
    name: string,
    { options, repair }: { readonly options: ReadOptions; readonly repair: boolean },
  ): Promise<BucketHistory> {
    const { signal } = options
    const asked = { ...readQuorumOf(options), signal, shows, ...(repair ? { repair } : {}) }
    const reading = this.#kv
      .get(bucketId(name), asked)
      .catch((error: unknown) => Promise.reject(about(name, error)))
    const { values, context } = await abortable(signal, reading)
    return { records: values.map(({ value }) => decodeBucket(value)), context }
  }

  /** What was read or written with quorums that need not meet those of others is for that call alone. */
  learn(
    name: string,
    record: BucketRecord,
    { began, options }: { readonly began: Instant; readonly options: DeleteOptions },
  ): Bucket {
    const bucket = newBucket(name, record, began)
    const { type } = record
    if (!this.hasType(type)) {
      const message = `bucket "${name}" is of the type "${type}", which this node does not know yet`
      throw new AtollError('ATOLL_FORMAT', message, { transient: true, details: { type } })
    }
    if (saysNothing(readQuorumOf(options)) && saysNothing(writeQuorumOf(options)))
      this.knowledge.learn(bucket)
    return bucket
  }

  /** Writes what follows on what was read. `accepted` is 0 if somebody else has gone on from there. */
  write(name: string, record: BucketRecord, { options, ...upon }: BucketWrite): Promise<KvStoreWritten> {
    const id = bucketId(name)
    const value = encodeBucket(record)
    const indexes: readonly KvIndexEntry[] = isThere(record)
      ? [{ index: LIST_INDEX, scope: BUCKET, term: id.key, payload: value }]
      : []
    return this.#kv.put(
      id,
      { value, indexes, ...upon },
      { ...writeQuorumOf(options), signal: options.signal },
    )
  }

  /** Deletes a record without an id, as the builds did that know no other. */
  async remove(name: string, context: Uint8Array | undefined, options: DeleteOptions): Promise<void> {
    const { signal } = options
    const asked = { ...writeQuorumOf(options), signal, context }
    await abortable(signal, this.#kv.delete(bucketId(name), asked))
  }

  async isEmpty({ objects, place }: Bucket, options: ReadOptions): Promise<boolean> {
    const { signal } = options
    const asked = { ...readQuorumOf(options), signal }
    const scan = { type: objects.manifests, index: LIST_INDEX, scope: place, limit: 1 }
    let after: Uint8Array | undefined
    do {
      const { entries, next } = await abortable(signal, this.#kv.scan({ ...scan, after }, asked))
      if (entries.length > 0) return false
      after = next
    } while (after !== undefined)
    return true
  }

  async list(options: BucketListOptions): Promise<BucketPage> {
    const { entries, next } = await walkIndex(this.#kv, { type: BUCKETS_TYPE, scope: BUCKET }, options)
    const buckets = entries.flatMap(({ name, payloads }) => {
      const record = joinBuckets(payloads.map(decodeBucket))
      return record === undefined ? [] : [newBucket(name, record, LONG_AGO).info]
    })
    return { buckets, next }
  }

  /** Whether this store can keep objects by that type. */
  hasType(type: string): boolean {
    return type === DEFAULT_BUCKET_TYPE || objectTypesOf(this.#kv).some(({ name }) => name === type)
  }
}

/** Says what was read: whoever puts an object has not asked for the record of its bucket. */
function about(name: string, error: unknown): unknown {
  if (!isAtollError(error)) return error
  const { code, message, definite, transient, details } = error
  const options = { definite, transient, details: { ...details, bucket: name }, cause: error }
  return new AtollError(code, `to read bucket "${name}": ${message}`, options)
}

export function bucketId(name: string): KeyId {
  return { type: BUCKETS_TYPE, bucket: BUCKET, key: utf8(checkBucketName(name)) }
}

function shows(values: readonly KvStoreValue[]): boolean {
  return isThere(joinBuckets(values.map(({ value }) => decodeBucket(value))))
}
