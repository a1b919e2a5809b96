import {
  checkBoolean,
  checkInteger,
  HOUR_MS,
  type KeyId,
  type Runtime,
  shielded,
  wallTimeOf,
} from '@atoll/core'
import { Blocks } from './blocks.ts'
import type { ObjectBody } from './body-chunks.ts'
import { checkBucketName } from './bucket-name.ts'
import { type BucketInfo, type BucketPage, Buckets } from './buckets.ts'
import { checkRange } from './byte-range.ts'
import { Collector } from './collector.ts'
import type { Layer } from './layer.ts'
import { type ListedObject, listObjects, type ObjectPage } from './listing.ts'
import { ManifestRecords } from './manifest-records.ts'
import { type ObjectName, objectName } from './object-name.ts'
import { type ObjectInfo, ObjectReader, type StoredObject } from './object-reader.ts'
import { ObjectWriter, type PutResult } from './object-writer.ts'
import { type ObjectStoreOptions, validateObjectStoreOptions } from './options.ts'
import type { KvStore } from './ports.ts'
import { WRITE_QUORUM, writeQuorumOf } from './quorums.ts'
import {
  type BucketListOptions,
  type CallOptions,
  type Collected,
  type CollectOptions,
  checkCall,
  checkCallback,
  checkList,
  checkPut,
  checkRead,
  type DeleteOptions,
  type GetOptions,
  type ListOptions,
  type PutOptions,
  type ReadOptions,
} from './requests.ts'
import { Slots } from './slots.ts'

const LEEWAY_MS = 24 * HOUR_MS

/**
 * Buckets and objects over a key-value store. An object is a manifest and blocks; nothing of an upload is visible before
 * all of it is durable, and then all of it at once.
 *
 * Every call throws `TypeError` or `RangeError`, and does nothing, for an invalid name or option; `ATOLL_ABORTED`
 * when its signal is aborted; and whatever the key-value store throws.
 */
export class ObjectStore {
  readonly #kv: KvStore
  readonly #layer: Layer
  readonly #writer: ObjectWriter
  readonly #reader: ObjectReader

  constructor(world: Runtime, { kv }: { readonly kv: KvStore }, options: ObjectStoreOptions = {}) {
    const runtime = shielded(world)
    this.#kv = kv
    const settings = validateObjectStoreOptions(options)
    this.#layer = {
      runtime,
      settings,
      buckets: new Buckets(runtime, kv),
      manifests: new ManifestRecords(runtime, kv),
      blocks: new Blocks(runtime, kv),
      writeSlots: new Slots(settings.maxBlocksWriting),
      readSlots: new Slots(settings.maxBlocksReadAhead),
    }
    this.#writer = new ObjectWriter(this.#layer)
    this.#reader = new ObjectReader(this.#layer)
  }

  /**
   * Throws `ATOLL_BUCKET_EXISTS`. Buckets are eventual: of two nodes that create one name at the same time both may
   * succeed, and then it is one bucket.
   */
  async createBucket(name: string, options: CallOptions = {}): Promise<BucketInfo> {
    checkCall('createBucket', options)
    return this.#layer.buckets.create(checkBucketName(name), options)
  }

  /**
   * Throws `ATOLL_BUCKET_NOT_EMPTY` or `ATOLL_BUCKET_NOT_FOUND`. An object that is put at the same time may outlive its
   * bucket; it is there again when the bucket is.
   */
  async deleteBucket(name: string, options: CallOptions = {}): Promise<void> {
    checkCall('deleteBucket', options)
    await this.#layer.buckets.delete(checkBucketName(name), options)
  }

  /** Throws `ATOLL_BUCKET_NOT_FOUND`. */
  async headBucket(name: string, options: CallOptions = {}): Promise<BucketInfo> {
    checkCall('headBucket', options)
    return this.#layer.buckets.require(checkBucketName(name), options)
  }

  /** One page of the buckets. */
  async listBuckets(options: BucketListOptions = {}): Promise<BucketPage> {
    checkList('listBuckets', options, ['prefix', 'after', 'limit'])
    return this.#layer.buckets.list(options)
  }

  /**
   * Stores an object and replaces the one that had the key, at once and as a whole. Of writes at the same time one wins,
   * the same one for everybody. Throws `ATOLL_BUCKET_NOT_FOUND`; `ATOLL_INCOMPLETE_BODY` if the body fails, with its
   * error as `cause`, or ends too early; `ATOLL_INVALID_BODY` if it is not what was announced or was read before; `ATOLL_TOO_LARGE`; `ATOLL_OVERLOADED` if the key has too many versions.
   * After an error that is `definite` nothing is visible of it, and its blocks are deleted.
   */
  async put(bucket: string, key: string, body: ObjectBody, options: PutOptions = {}): Promise<PutResult> {
    const name = this.#nameOf(bucket, key)
    return this.#writer.put(name, body, checkPut(options, this.#layer.settings, this.#layer.runtime))
  }

  /**
   * Opens an object for reading. Throws `ATOLL_OBJECT_NOT_FOUND`, `ATOLL_BUCKET_NOT_FOUND`, or `ATOLL_RANGE` if the
   * object has none of the bytes asked for. The body throws `ATOLL_CORRUPT` for a block that no replica has whole.
   */
  async get(bucket: string, key: string, options: GetOptions = {}): Promise<StoredObject> {
    checkRead('get', options, ['range', 'repair', 'onProgress'])
    checkCallback(options.onProgress, this.#layer.runtime)
    if (options.repair !== undefined) checkBoolean('repair', options.repair)
    if (options.range !== undefined) checkRange(options.range)
    return this.#reader.get(this.#nameOf(bucket, key), options)
  }

  /** What `get` says of an object but for its body. Throws `ATOLL_OBJECT_NOT_FOUND` or `ATOLL_BUCKET_NOT_FOUND`. */
  async head(bucket: string, key: string, options: ReadOptions = {}): Promise<ObjectInfo> {
    checkRead('head', options)
    return this.#reader.head(this.#nameOf(bucket, key), options)
  }

  /**
   * Deletes an object. One that is not there is no error: the answer says so. An upload in progress is not touched.
   * Throws `ATOLL_BUCKET_NOT_FOUND`.
   */
  async delete(
    bucket: string,
    key: string,
    options: DeleteOptions = {},
  ): Promise<{ readonly deleted: boolean }> {
    checkCall('delete', options, WRITE_QUORUM)
    writeQuorumOf(options)
    return { deleted: await this.#writer.delete(this.#nameOf(bucket, key), options) }
  }

  /** One page of the objects of a bucket, in the order of the bytes of their keys. Throws `ATOLL_BUCKET_NOT_FOUND`. */
  async list(bucket: string, options: ListOptions = {}): Promise<ObjectPage> {
    checkList('list', options, ['prefix', 'delimiter', 'after', 'limit'])
    const name = checkBucketName(bucket)
    const existing = this.#layer.buckets.require(name, options)
    const [page] = await Promise.all([listObjects(this.#kv, name, options), existing])
    return page
  }

  /** All objects of a bucket, read page by page. */
  async *listAll(
    bucket: string,
    options: Omit<ListOptions, 'delimiter' | 'limit'> = {},
  ): AsyncGenerator<ListedObject, void, void> {
    checkList('listAll', options, ['prefix', 'after'])
    let after = options.after
    do {
      const page: ObjectPage = await this.list(bucket, { ...options, after })
      yield* page.objects
      after = page.next
    } while (after !== undefined)
  }

  /** The names of the key-value records of an object: its manifest record, then its blocks. Errors as of `head`. */
  async recordsOf(bucket: string, key: string, options: ReadOptions = {}): Promise<readonly KeyId[]> {
    checkRead('recordsOf', options)
    return this.#reader.records(this.#nameOf(bucket, key), options)
  }

  /**
   * Clears away what is out of use: overwritten and deleted versions that are older than the leeway, and uploads that
   * lost their lease. To be called from time to time, by any node; twice or by two at once does no harm.
   */
  async collect(options: CollectOptions = {}): Promise<Collected> {
    checkCall('collect', options, ['now', 'leewayMs', 'onProgress'])
    const { now = wallTimeOf(this.#layer.runtime.clock), leewayMs = LEEWAY_MS, signal } = options
    checkInteger('now', now, { min: 0, max: Number.MAX_SAFE_INTEGER })
    checkInteger('leewayMs', leewayMs, { min: 0, max: Number.MAX_SAFE_INTEGER })
    const onProgress = checkCallback(options.onProgress, this.#layer.runtime)
    return new Collector(this.#layer, this.#kv).collect({ nowMs: now, leewayMs, signal, onProgress })
  }

  #nameOf(bucket: string, key: string): ObjectName {
    return objectName(bucket, key, this.#layer.settings.maxKeyBytes)
  }
}
