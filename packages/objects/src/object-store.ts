import {
  type Clock,
  checkBoolean,
  checkInteger,
  HOUR_MS,
  type KeyId,
  type Runtime,
  shielded,
} from '@atoll/core'
import { endingSoon } from './abort.ts'
import type { PutResult } from './activations.ts'
import { Blocks } from './blocks.ts'
import { bytesAtHand, type ObjectBody } from './body-chunks.ts'
import { BodySource } from './body-source.ts'
import { type Bucket, type BucketInfo, isSamePlace } from './bucket-knowledge.ts'
import { checkBucketName } from './bucket-name.ts'
import type { BucketPage } from './bucket-records.ts'
import { Buckets } from './buckets.ts'
import { checkRange } from './byte-range.ts'
import { Collector } from './collector.ts'
import type { Layer } from './layer.ts'
import { type ListedObject, listObjects, type ObjectPage } from './listing.ts'
import { ManifestRecords } from './manifest-records.ts'
import { objectName, placedIn } from './object-name.ts'
import { type ObjectInfo, ObjectReader, type StoredObject } from './object-reader.ts'
import { ObjectWriter } from './object-writer.ts'
import { type ObjectStoreOptions, validateObjectStoreOptions } from './options.ts'
import type { ClusterClocks, KvStore, StorePeers } from './ports.ts'
import {
  type BucketListOptions,
  type CloseOptions,
  type Collected,
  type CollectOptions,
  type CreateBucketOptions,
  checkCall,
  checkCallback,
  checkChange,
  checkClose,
  checkList,
  checkOwnership,
  checkPut,
  checkRead,
  type DeleteOptions,
  type GetOptions,
  type ListOptions,
  type PutOptions,
  type ReadOptions,
} from './requests.ts'
import { Slots } from './slots.ts'
import { Traffic } from './traffic.ts'

const LEEWAY_MS = 24 * HOUR_MS
const OF_GET: readonly string[] = ['range', 'repair', 'chunks', 'onProgress']

/** None of a clock before 1970, which nobody can believe. */
function ownWallMs(clock: Pick<Clock, 'wallMs'>): readonly number[] {
  const wallMs = clock.wallMs()
  return wallMs < 0 ? [] : [wallMs]
}

export interface ObjectStoreParts {
  readonly kv: KvStore
  /** Of all nodes that write to the key-value store; default that of this process alone. */
  readonly clocks?: ClusterClocks | undefined
  /** Default: there may be others over the key-value store, all of this build. */
  readonly peers?: StorePeers | undefined
}

const UNKNOWN_PEERS: StorePeers = { areThere: () => true, readIds: async () => true }

/**
 * Buckets and objects over a key-value store. An object is a manifest and blocks; nothing of an upload is visible before
 * all of it is durable, and then all of it at once.
 *
 * Every call throws `TypeError` or `RangeError`, and does nothing, for an invalid name or option; `ATOLL_ABORTED`
 * when its signal is aborted; `ATOLL_CLOSED` once the store closes; and whatever the key-value store throws.
 */
export class ObjectStore {
  readonly #kv: KvStore
  readonly #clocks: ClusterClocks
  readonly #layer: Layer
  readonly #writer: ObjectWriter
  readonly #reader: ObjectReader

  constructor(
    world: Runtime,
    { kv, clocks, peers = UNKNOWN_PEERS }: ObjectStoreParts,
    options: ObjectStoreOptions = {},
  ) {
    const runtime = shielded(world)
    this.#kv = kv
    this.#clocks = clocks ?? { read: async () => ({ members: 1, wallMs: ownWallMs(runtime.clock) }) }
    const settings = validateObjectStoreOptions(options)
    this.#layer = {
      runtime,
      settings,
      traffic: new Traffic(runtime.clock),
      buckets: new Buckets(runtime, kv, peers),
      manifests: new ManifestRecords(runtime, kv, settings),
      blocks: new Blocks(runtime, kv),
      writeSlots: new Slots(settings.maxBlocksWriting),
      readSlots: new Slots(settings.maxBlocksReadAhead),
    }
    this.#writer = new ObjectWriter(this.#layer)
    this.#reader = new ObjectReader(this.#layer)
  }

  /**
   * Throws `ATOLL_BUCKET_EXISTS`. If two nodes create the same bucket at the same time, both calls may succeed, and
   * both get the same bucket. If the types differ, the call with one of them fails, with `ATOLL_BUCKET_EXISTS` or
   * `ATOLL_OVERLOADED`. A bucket of another type than the default needs all primaries of its record: while one of them
   * is down the call fails with `ATOLL_QUORUM_IMPOSSIBLE`.
   */
  async createBucket(name: string, options: CreateBucketOptions = {}): Promise<BucketInfo> {
    checkChange('createBucket', options, ['type'])
    checkBucketName(name)
    this.#layer.buckets.checkType(options.type)
    return this.#layer.traffic.serve(() => this.#layer.buckets.create(name, options))
  }

  /**
   * Throws `ATOLL_BUCKET_NOT_EMPTY` or `ATOLL_BUCKET_NOT_FOUND`. An object that is put at the same time
   * never shows in the next bucket of that name.
   */
  async deleteBucket(name: string, options: DeleteOptions = {}): Promise<void> {
    checkChange('deleteBucket', options)
    checkBucketName(name)
    await this.#layer.traffic.serve(() => this.#layer.buckets.delete(name, options))
  }

  /** Throws `ATOLL_BUCKET_NOT_FOUND`. */
  async headBucket(name: string, options: ReadOptions = {}): Promise<BucketInfo> {
    checkRead('headBucket', options)
    checkBucketName(name)
    return this.#layer.traffic.serve(async () => (await this.#layer.buckets.require(name, options)).info)
  }

  /** One page of the buckets. */
  async listBuckets(options: BucketListOptions = {}): Promise<BucketPage> {
    checkList('listBuckets', options, ['prefix', 'after', 'limit'])
    return this.#layer.traffic.serve(() => this.#layer.buckets.list(options))
  }

  /**
   * Stores an object, and replaces an object of the same key as a whole. Of concurrent writes one wins, the same one
   * for all readers. Throws `ATOLL_BUCKET_NOT_FOUND`; `ATOLL_INCOMPLETE_BODY` if the body fails, with its error as
   * `cause`, or ends too early; `ATOLL_INVALID_BODY` if the body differs from its announced size or digest, or was read
   * before; `ATOLL_TOO_LARGE`; `ATOLL_OVERLOADED` if the key has too many versions. After a `definite` error nothing of
   * the object is visible, and its blocks are deleted. A put that is aborted clears up behind itself, and answers within a
   * second, with `ATOLL_ABORTED` if nobody knows by then what becomes of it.
   */
  async put(bucket: string, key: string, body: ObjectBody, options: PutOptions = {}): Promise<PutResult> {
    const { settings, runtime, traffic } = this.#layer
    const nameOf = () => objectName(bucket, key, settings.maxKeyBytes)
    const requestOf = () => checkPut(options, settings, runtime)
    // What is here already, and small, ends by itself before long: a signal to cut it by costs as much as its digest.
    if (bytesAtHand(body) <= settings.inlineBytes) {
      const [name, request] = [nameOf(), requestOf()]
      const putting = traffic.serve(() => this.#writer.putWhole(name, body, request))
      return endingSoon(runtime.clock, request.signal, putting)
    }
    // A stream belongs to the call from here on, which ends it also where it is refused.
    const source = new BodySource(body, runtime.clock)
    try {
      const [name, request] = [nameOf(), requestOf()]
      const putting = traffic.serveStream(request.signal, (signal) =>
        this.#writer.put(name, source, { ...request, signal }),
      )
      return await endingSoon(runtime.clock, request.signal, putting)
    } finally {
      await source.close()
    }
  }

  /**
   * Opens an object for reading. Throws `ATOLL_OBJECT_NOT_FOUND`, `ATOLL_BUCKET_NOT_FOUND`, or `ATOLL_RANGE` if the
   * object has none of the bytes asked for. The body throws `ATOLL_CORRUPT` for a block that no replica has whole.
   */
  async get(bucket: string, key: string, options: GetOptions = {}): Promise<StoredObject> {
    checkRead('get', options, OF_GET)
    checkCallback(options.onProgress, this.#layer.runtime)
    if (options.repair !== undefined) checkBoolean('repair', options.repair)
    checkOwnership(options.chunks)
    if (options.range !== undefined) checkRange(options.range)
    const name = objectName(bucket, key, this.#layer.settings.maxKeyBytes)
    return this.#layer.traffic.serve(() => this.#reader.get(name, options))
  }

  /** What `get` answers, without the body. Throws `ATOLL_OBJECT_NOT_FOUND` or `ATOLL_BUCKET_NOT_FOUND`. */
  async head(bucket: string, key: string, options: ReadOptions = {}): Promise<ObjectInfo> {
    checkRead('head', options)
    const name = objectName(bucket, key, this.#layer.settings.maxKeyBytes)
    return this.#layer.traffic.serve(() => this.#reader.head(name, options))
  }

  /**
   * Deletes an object. If there is none, the answer says so, without an error. An upload in progress is not affected.
   * Throws `ATOLL_BUCKET_NOT_FOUND`.
   */
  async delete(
    bucket: string,
    key: string,
    options: DeleteOptions = {},
  ): Promise<{ readonly deleted: boolean }> {
    checkChange('delete', options)
    const { runtime, settings, traffic } = this.#layer
    const name = objectName(bucket, key, settings.maxKeyBytes)
    const deleting = traffic.serve(() => this.#writer.delete(name, options))
    return { deleted: await endingSoon(runtime.clock, options.signal, deleting) }
  }

  /** One page of the objects of a bucket, in the order of the bytes of their keys. Throws `ATOLL_BUCKET_NOT_FOUND`. */
  async list(bucket: string, options: ListOptions = {}): Promise<ObjectPage> {
    checkList('list', options, ['prefix', 'delimiter', 'after', 'limit'])
    checkBucketName(bucket)
    return this.#layer.traffic.serve(() => this.#list(bucket, options))
  }

  /** All objects of a bucket, read page by page. */
  async *listAll(
    bucket: string,
    options: Omit<ListOptions, 'delimiter' | 'limit'> = {},
  ): AsyncGenerator<ListedObject, void, void> {
    checkList('listAll', options, ['prefix', 'after'])
    checkBucketName(bucket)
    const stay = this.#layer.traffic.beginListing(options.signal)
    const { signal } = stay
    try {
      let after = options.after
      do {
        const page: ObjectPage = await this.#list(bucket, { ...options, after, signal })
        yield* page.objects
        after = page.next
      } while (after !== undefined)
    } finally {
      stay.end()
    }
  }

  /** The names of the key-value records of an object: its manifest record, then its blocks. Errors as of `head`. */
  async recordsOf(bucket: string, key: string, options: ReadOptions = {}): Promise<readonly KeyId[]> {
    checkRead('recordsOf', options)
    const name = objectName(bucket, key, this.#layer.settings.maxKeyBytes)
    return this.#layer.traffic.serve(() => this.#reader.records(name, options))
  }

  /**
   * Deletes what is not used any more: overwritten and deleted versions that are older than the leeway, and uploads
   * whose lease is over. Call it from time to time, on any node; several calls at once do no harm. It uses the time
   * that the clocks of a majority of the members agree on. If a version was marked by a clock that was ahead of them by
   * more than `clockSkewMs`, its leeway begins now.
   */
  async collect(options: CollectOptions = {}): Promise<Collected> {
    checkCall('collect', options, ['now', 'leewayMs', 'onProgress'])
    const { now, leewayMs = LEEWAY_MS, signal } = options
    if (now !== undefined) checkInteger('now', now, { min: 0, max: Number.MAX_SAFE_INTEGER })
    checkInteger('leewayMs', leewayMs, { min: 0, max: Number.MAX_SAFE_INTEGER })
    const onProgress = checkCallback(options.onProgress, this.#layer.runtime)
    const collector = new Collector(this.#layer, this.#kv, this.#clocks)
    return this.#layer.traffic.serveStream(signal, (cut) =>
      collector.collect({ now, leewayMs, signal: cut, onProgress }),
    )
  }

  /**
   * From now on the store refuses requests with `ATOLL_CLOSED`. Requests under way, and bodies that are being read, may
   * go on for `drainMs`; then they are cut with `ATOLL_CLOSED`, and uploads among them delete their blocks. Resolves
   * when nothing is under way, at the latest 10 s after the cut. The key-value store has to serve until then. A second
   * call with a smaller `drainMs` shortens the time.
   */
  async close(options: CloseOptions = {}): Promise<void> {
    await this.#layer.traffic.close(checkClose(options))
  }

  /** Takes requests again after a `close` that is over. A new store takes them from the beginning. */
  open(): void {
    this.#layer.traffic.open()
  }

  async #list(bucket: string, options: ListOptions): Promise<ObjectPage> {
    const { buckets, runtime } = this.#layer
    const sinceMs = runtime.clock.monotonicMs()
    const likely = await buckets.lookUp(bucket, options)
    if (buckets.isSure(likely, sinceMs)) return await this.#page(likely, options)
    const [page, now] = await Promise.all([this.#page(likely, options), buckets.require(bucket, options)])
    return isSamePlace(now, likely) ? page : await this.#page(now, options)
  }

  /** Nobody waits for what it heals: a version that was overtaken unseen tells of itself only here, or when it is read. */
  async #page(bucket: Bucket, options: ListOptions): Promise<ObjectPage> {
    const { traffic, settings } = this.#layer
    const { page, torn } = await listObjects(this.#kv, bucket, options)
    for (const key of torn) {
      const name = () => placedIn(objectName(bucket.info.name, key, settings.maxKeyBytes), bucket)
      // Once the store closes nothing is begun any more.
      void traffic.serve(async () => this.#reader.heal(name())).catch(() => {})
    }
    return page
  }
}
