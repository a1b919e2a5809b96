import { AtollError, decodeWith, encodeWith, type KeyId, type Runtime, utf8, wallTimeOf } from '@atoll/core'
import { abortable } from './abort.ts'
import { checkBucketName } from './bucket-name.ts'
import { bucketCodec } from './codec.ts'
import { BUCKETS_TYPE, LIST_INDEX, MANIFESTS_TYPE } from './kv-types.ts'
import { walkIndex } from './listing.ts'
import type { KvRead, KvStore } from './ports.ts'
import { readQuorumOf, writeQuorumOf } from './quorums.ts'
import type { BucketListOptions, CreateBucketOptions, DeleteOptions, ReadOptions } from './requests.ts'
import { SharedReads } from './shared-reads.ts'

export interface BucketInfo {
  readonly name: string
  readonly createdMs: number
}

export interface BucketPage {
  /** In the order of their names. */
  readonly buckets: readonly BucketInfo[]
  /** `after` of the next page; undefined after the last. */
  readonly next: string | undefined
}

const BUCKET = utf8('buckets')

/** The bucket records. They are eventual: two nodes that create one name at the same time both succeed. */
export class Buckets {
  readonly #runtime: Runtime
  readonly #kv: KvStore
  /** Every PUT asks for its bucket, and mostly all of them for the same one. */
  readonly #reads: SharedReads<BucketInfo>

  constructor(runtime: Runtime, kv: KvStore) {
    this.#runtime = runtime
    this.#kv = kv
    this.#reads = new SharedReads(runtime.clock, async (name) => infoOf(name, await this.#read(name, {})))
  }

  async create(name: string, options: CreateBucketOptions): Promise<BucketInfo> {
    const { signal } = options
    const id = bucketId(name)
    const reading = this.#kv.get(id, { ...readQuorumOf(options), signal })
    const { values, context } = await abortable(signal, reading)
    if (values.length > 0) throw new AtollError('ATOLL_BUCKET_EXISTS', `bucket "${name}" exists already`)
    const createdMs = wallTimeOf(this.#runtime.clock)
    const value = encodeWith(bucketCodec, { createdMs })
    const indexes = [{ index: LIST_INDEX, scope: BUCKET, term: id.key, payload: value }]
    const asked = { ...writeQuorumOf(options), signal }
    await abortable(signal, this.#kv.put(id, { value, indexes, context }, asked))
    return { name, createdMs }
  }

  async delete(name: string, options: DeleteOptions): Promise<void> {
    const { signal } = options
    const [{ context }, empty] = await Promise.all([this.#read(name, options), this.#isEmpty(name, options)])
    if (!empty) throw new AtollError('ATOLL_BUCKET_NOT_EMPTY', `bucket "${name}" still holds objects`)
    const asked = { ...writeQuorumOf(options), signal, context }
    await abortable(signal, this.#kv.delete(bucketId(name), asked))
  }

  /** Throws `ATOLL_BUCKET_NOT_FOUND`. What is asked of the replicas in a way of its own is asked by itself. */
  async require(name: string, options: ReadOptions): Promise<BucketInfo> {
    const isOrdinary = Object.keys(readQuorumOf(options)).length === 0
    if (isOrdinary) return await abortable(options.signal, this.#reads.get(name))
    return infoOf(name, await this.#read(name, options))
  }

  async list(options: BucketListOptions): Promise<BucketPage> {
    const { entries, next } = await walkIndex(this.#kv, { type: BUCKETS_TYPE, scope: BUCKET }, options)
    return { buckets: entries.map(({ name, payloads }) => ({ name, ...oldest(payloads) })), next }
  }

  async #read(name: string, options: ReadOptions): Promise<KvRead> {
    const { signal } = options
    const reading = this.#kv.get(bucketId(name), { ...readQuorumOf(options), signal })
    const read = await abortable(signal, reading)
    if (read.values.length > 0) return read
    throw new AtollError('ATOLL_BUCKET_NOT_FOUND', `there is no bucket "${name}"`)
  }

  async #isEmpty(name: string, options: ReadOptions): Promise<boolean> {
    const { signal } = options
    const asked = { ...readQuorumOf(options), signal }
    let after: Uint8Array | undefined
    do {
      const scan = { type: MANIFESTS_TYPE, index: LIST_INDEX, scope: utf8(name), after, limit: 1 }
      const { entries, next } = await abortable(signal, this.#kv.scan(scan, asked))
      if (entries.length > 0) return false
      after = next
    } while (after !== undefined)
    return true
  }
}

export function bucketId(name: string): KeyId {
  return { type: BUCKETS_TYPE, bucket: BUCKET, key: utf8(checkBucketName(name)) }
}

function infoOf(name: string, { values }: KvRead): BucketInfo {
  return { name, ...oldest(values.map(({ value }) => value)) }
}

/** Of bucket records that were created at the same time, the one that was first. */
function oldest(records: readonly Uint8Array[]): { readonly createdMs: number } {
  const times = records.map((record) => decodeWith(bucketCodec, record).createdMs)
  return { createdMs: times.reduce((a, b) => Math.min(a, b)) }
}
