import {
  AtollError,
  behindWrite,
  describe,
  isAtollError,
  type Runtime,
  wallTimeOf,
  withDefinite,
  wrongRange,
} from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import { Closings } from './bucket-closings.ts'
import { type Bucket, type BucketInfo, instantOf, isSamePlace, noBucket } from './bucket-knowledge.ts'
import { type BucketLife, type BucketRecord, isThere, joinBuckets, nextLife } from './bucket-record.ts'
import { type BucketHistory, type BucketPage, type BucketRead, BucketRecords } from './bucket-records.ts'
import { DEFAULT_BUCKET_TYPE, objectTypeOf } from './kv-types.ts'
import { checkString } from './metadata.ts'
import type { KvStore, StorePeers } from './ports.ts'
import { readQuorumOf, saysNothing } from './quorums.ts'
import type { BucketListOptions, CreateBucketOptions, DeleteOptions, ReadOptions } from './requests.ts'
import { SharedReads } from './shared-reads.ts'

interface Making {
  readonly before: BucketHistory
  readonly options: CreateBucketOptions
  readonly ifUnchanged: 'one' | undefined
}

const CREATE_ROUNDS = 8
/**
 * That a bucket is deleted may have come to one replica alone, and then somebody may open it again to whom the others say
 * that it closes. The second look brings it to all replicas, so that nobody opens the bucket any more; the third one shows
 * who had done it by then.
 */
const LOOKS_AT_DELETED = 2
const PAUSE_MS = 20

/**
 * The buckets. Their records are eventual: two nodes that create one name at the same time both succeed, and share one
 * bucket, since both derive the same id. But a bucket has one type for good, since its objects are found by it. So a
 * record of another type than the default is proposed first, by a write that every primary has to say of that it met
 * nothing, and then decided; one of the default type begins at a primary that holds nothing. Of a write of either kind
 * over the same, never both count (`ifUnchanged`).
 *
 * What is known of a bucket with an id is used for a while (`KNOWN_MS`), and whoever deletes it waits for longer
 * (`Closings`). So by such knowledge a reader says what is there and what is not. A writer says that something is stored
 * if it knows by then that the bucket was open a while ago, or else reads that it is.
 */
export class Buckets {
  readonly #runtime: Runtime
  readonly #peers: StorePeers
  readonly #records: BucketRecords
  readonly #closings: Closings
  /** Of many who ask for one bucket at the same time. */
  readonly #reads: SharedReads<BucketRead>

  constructor(runtime: Runtime, kv: KvStore, peers: StorePeers) {
    this.#runtime = runtime
    this.#peers = peers
    this.#records = new BucketRecords(runtime, kv)
    this.#closings = new Closings(runtime, this.#records, peers)
    this.#reads = new SharedReads(runtime.clock, (name) => this.#records.read(name, {}))
  }

  /** Throws `TypeError` or `RangeError` for a type by which this store cannot keep objects. */
  checkType(type: unknown): void {
    if (type === undefined || this.#records.hasType(checkString('type', type))) return
    const { manifests, blocks } = objectTypeOf(checkString('type', type))
    throw wrongRange(
      'type',
      `must be a type for objects, of which "${manifests}" keeps siblings and "${blocks}" is written once, got ${describe(type)}`,
    )
  }

  async create(name: string, options: CreateBucketOptions): Promise<BucketInfo> {
    const { signal, type = DEFAULT_BUCKET_TYPE } = options
    const { clock, random } = this.#runtime
    const createdMs = wallTimeOf(clock)
    let looks = 0
    for (let round = 0; round < CREATE_ROUNDS; round++) {
      const began = instantOf(clock)
      const before = await this.#records.history(name, { options, repair: round > 0 })
      const current = joinBuckets(before.records)
      const isDeleted = current?.phase === 'deleted'
      if (isThere(current)) throw alreadyThere(name)
      if (isDeleted && looks++ < LOOKS_AT_DELETED) continue
      const life = await this.#nextLife(name, current, signal)
      const record: BucketRecord = { createdMs, type, phase: 'open', life }
      const isProposed = before.records.some(({ phase }) => phase === 'proposed')
      // Where replicas are just being added nobody can say that nothing is there: the default type goes without, as it
      // did before.
      const ifUnchanged = round < CREATE_ROUNDS - 1 ? 'one' : undefined
      const making = { before, options, ifUnchanged } as const
      const isPlain = type === DEFAULT_BUCKET_TYPE && !isProposed
      const creating = isPlain ? this.#begin(name, record, making) : this.#decide(name, record, making)
      if (await abortable(signal, creating)) return this.#records.learn(name, record, { began, options }).info
      await clock.sleep(1 + random.below(PAUSE_MS))
    }
    const message = `bucket "${name}" is being created by others, or replicas of its record are being added`
    throw new AtollError('ATOLL_OVERLOADED', message)
  }

  async delete(name: string, options: DeleteOptions): Promise<void> {
    await this.#closings.delete(name, options)
    this.#records.knowledge.forget(name)
  }

  list(options: BucketListOptions): Promise<BucketPage> {
    return this.#records.list(options)
  }

  /** Throws `ATOLL_BUCKET_NOT_FOUND`. What is asked of the replicas in a way of its own is asked by itself. */
  async require(name: string, options: ReadOptions): Promise<Bucket> {
    const isPlain = saysNothing(readQuorumOf(options))
    const reading = isPlain ? this.#reads.get(name) : this.#records.read(name, options)
    return (await abortable(options.signal, reading)).bucket
  }

  /**
   * For a reader, who asks whether it `isSure` before it says that something is not there. Where the record cannot be
   * read the bucket is taken for where it was when this node last heard of it.
   */
  lookUp(name: string, options: ReadOptions): Bucket | Promise<Bucket> {
    return this.#records.knowledge.recent(name) ?? this.#lookUp(name, options)
  }

  /** Whether the bucket is there, for a call that has begun at `sinceMs`. */
  isSure(bucket: Bucket, sinceMs: number): boolean {
    return bucket.began.monotonicMs >= sinceMs || this.#records.knowledge.isHeld(bucket)
  }

  /** For a writer, who asks whether it `isHeld` when the write is done. Waits while somebody is about to delete it. */
  writable(name: string, signal: AbortSignal | undefined): Bucket | Promise<Bucket> {
    const known = this.#records.knowledge.recent(name)
    return known !== undefined && this.#records.knowledge.isHeld(known) ? known : this.#opened(name, signal)
  }

  /** Whether what was written into the bucket by that knowledge may be acknowledged. Else it is to be confirmed. */
  isHeld(bucket: Bucket): boolean {
    return bucket.info.id === undefined || this.#records.knowledge.isHeld(bucket)
  }

  /** After a write: throws `ATOLL_BUCKET_NOT_FOUND` if the bucket was deleted meanwhile. */
  async confirm(bucket: Bucket, signal: AbortSignal | undefined): Promise<void> {
    const { name } = bucket.info
    this.#runtime.probe.mark('objects.bucket.confirmed')
    try {
      if (!isSamePlace(await this.writable(name, signal), bucket)) throw noBucket(name)
    } catch (error) {
      const isGone = isAtollError(error, 'ATOLL_BUCKET_NOT_FOUND')
      throw isAtollError(error) && !isGone ? withDefinite(error, false) : error
    }
  }

  async #opened(name: string, signal: AbortSignal | undefined): Promise<Bucket> {
    const read = await abortable(signal, this.#reads.get(name))
    return read.bucket.phase === 'closing' ? await this.#closings.opened(read, { signal }) : read.bucket
  }

  async #lookUp(name: string, options: ReadOptions): Promise<Bucket> {
    try {
      return await this.require(name, options)
    } catch (error) {
      const last = this.#records.knowledge.lastHeard(name)
      if (last === undefined || !isAtollError(error) || !error.transient) throw error
      return last
    }
  }

  /** None while a node may be there that would look for the objects under the name. */
  async #nextLife(
    name: string,
    before: BucketRecord | undefined,
    signal: AbortSignal | undefined,
  ): Promise<BucketLife | undefined> {
    const mayHave = before?.life !== undefined || (await this.#peers.readIds({ signal }))
    throwIfAborted(signal)
    if (!mayHave) return undefined
    return nextLife(this.#runtime, name, before?.life)
  }

  /** False if somebody else has begun. */
  async #begin(name: string, record: BucketRecord, { before, ...upon }: Making): Promise<boolean> {
    const { accepted } = await this.#records.write(name, record, { context: before.context, ...upon })
    return accepted > 0
  }

  async #decide(name: string, record: BucketRecord, { before, options }: Making): Promise<boolean> {
    const proposal: BucketRecord = { ...record, phase: 'proposed' }
    const upon = { context: before.context, ifUnchanged: 'all', options } as const
    const { accepted, alone, context } = await this.#records.write(name, proposal, upon)
    if (accepted === 0 || !alone) return false
    const proposed = { before: { ...before, context }, options, ifUnchanged: 'one' } as const
    return await behindWrite(() => this.#begin(name, record, proposed))
  }
}

function alreadyThere(name: string): AtollError {
  return new AtollError('ATOLL_BUCKET_EXISTS', `bucket "${name}" exists already`, {
    details: { bucket: name },
  })
}
