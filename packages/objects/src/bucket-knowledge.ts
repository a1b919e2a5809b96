import { AtollError, type Clock, equalBytes, SECOND_MS, toHex, utf8 } from '@atoll/core'
import type { BucketPhase, BucketRecord } from './bucket-record.ts'
import { type ObjectType, objectTypeOf } from './kv-types.ts'

export interface BucketInfo {
  readonly name: string
  readonly createdMs: number
  /** By which bucket types its objects are stored: those that `createBucket` was told. */
  readonly type: string
  /**
   * 32 hexadecimal digits under which what it holds is filed; the next bucket of the name has another one. Undefined for
   * a bucket that a build before made: what that holds is filed under its name.
   */
  readonly id: string | undefined
}

/** A bucket that is there, as a read has found it. */
export interface Bucket {
  readonly info: BucketInfo
  /** What the objects in it have as their bucket. */
  readonly place: Uint8Array
  readonly objects: ObjectType
  readonly phase: BucketPhase
  /** When the read began, on the clocks of this node. */
  readonly began: Instant
}

export interface Instant {
  readonly monotonicMs: number
  readonly wallMs: number
}

type Clocks = Pick<Clock, 'monotonicMs' | 'wallMs'>

/**
 * For how long what was read of a bucket is used, counted from when the read began. Whoever deletes a bucket waits for
 * longer before it looks whether something is in there. Each measures with its own clock.
 */
export const KNOWN_MS = SECOND_MS

/** Buckets that are remembered. */
const MAX_BUCKETS = 10_000

/** What this node knows of the buckets, each as it was last heard of. */
export class BucketKnowledge {
  readonly #clock: Clocks
  readonly #buckets = new Map<string, Bucket>()
  /** What was read before is not learned any more. */
  #floorMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clocks) {
    this.#clock = clock
  }

  learn(bucket: Bucket): void {
    const { name } = bucket.info
    const known = this.#buckets.get(name)
    if (bucket.began.monotonicMs <= this.#floorMs) return
    if (known !== undefined && known.began.monotonicMs > bucket.began.monotonicMs) return
    this.#buckets.delete(name)
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size >= MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest)
    this.#buckets.set(name, bucket)
  }

  forget(name: string): void {
    this.#buckets.delete(name)
  }

  /** Forgets it after a write, also what is being read now. */
  drop(name: string): void {
    this.#buckets.delete(name)
    this.#floorMs = this.#clock.monotonicMs()
  }

  /** However long ago that was. */
  lastHeard(name: string): Bucket | undefined {
    return this.#buckets.get(name)
  }

  /** What was heard a short while ago, unless somebody was about to delete the bucket. */
  recent(name: string): Bucket | undefined {
    const known = this.#buckets.get(name)
    return known?.phase === 'open' && this.#isRecent(known) ? known : undefined
  }

  /** Whether the bucket is there now for certain: as long as that holds, nobody has looked whether it may be deleted. */
  isHeld(bucket: Bucket): boolean {
    const { id, name } = bucket.info
    const known = this.recent(name)
    return id !== undefined && known !== undefined && isSamePlace(known, bucket)
  }

  #isRecent({ began }: Bucket): boolean {
    return elapsedMs(this.#clock, began) < KNOWN_MS
  }
}

export function instantOf(clock: Clocks): Instant {
  return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() }
}

/** By the clock that says more: while a machine is suspended its monotonic one may stand still. */
export function elapsedMs(clock: Clocks, since: Instant): number {
  return Math.max(clock.monotonicMs() - since.monotonicMs, Math.abs(clock.wallMs() - since.wallMs))
}

export function newBucket(name: string, record: BucketRecord, began: Instant): Bucket {
  const { createdMs, type, phase, life } = record
  const id = life === undefined ? undefined : toHex(life.id)
  const place = life?.id ?? utf8(name)
  return { info: { name, createdMs, type, id }, place, objects: objectTypeOf(type), phase, began }
}

/** Whether both are filed at one place. */
export function isSamePlace(a: Bucket, b: Bucket): boolean {
  return a.info.type === b.info.type && equalBytes(a.place, b.place)
}

export function noBucket(name: string): AtollError {
  return new AtollError('ATOLL_BUCKET_NOT_FOUND', `there is no bucket "${name}"`, {
    details: { bucket: name },
  })
}
