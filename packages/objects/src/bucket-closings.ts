import { AtollError, isAtollError, messageOf, type Runtime, SECOND_MS, withDefinite } from '@atoll/core'
import { abortable } from './abort.ts'
import { type Bucket, elapsedMs, type Instant, instantOf, KNOWN_MS } from './bucket-knowledge.ts'
import { type BucketPhase, type BucketRecord, isSameRecord } from './bucket-record.ts'
import type { BucketRead, BucketRecords } from './bucket-records.ts'
import type { StorePeers } from './ports.ts'
import type { DeleteOptions } from './requests.ts'

/** Longer than anybody uses what is known of a bucket, also by a clock that runs a fifth slower. */
const WAIT_MS = 1.25 * KNOWN_MS
/** Whoever has not begun to write by then that a bucket is deleted lets it be open again. */
const BEGIN_MS = 5 * SECOND_MS
/** Whoever has not heard by then that it is written does not say that the bucket is deleted. */
const ANSWER_MS = 15 * SECOND_MS
/** A bucket that this node has seen closing for so long is opened again: whoever closed it says nothing any more. */
const ABANDONED_MS = 30 * SECOND_MS
/** How long a call waits for others that delete the bucket, and how long between two looks. */
const PATIENCE_MS = 5 * SECOND_MS
const LOOK_MS = 100

const MARKS = 2 ** 32
const DELETE_ROUNDS = 8
const MAX_SEEN = 1000

/** A bucket that is closing, as this node first saw it. */
interface Seen {
  readonly record: BucketRecord
  readonly sinceMs: number
}

/** What the bucket was read as when it was closed, by whom, and when. */
interface Closed extends BucketRead {
  readonly options: DeleteOptions
  readonly began: Instant
}

/**
 * Deletes buckets. The record says first that the bucket closes. From then on nobody who reads it puts anything into
 * it, and when `WAIT_MS` is over nobody goes by an earlier read either: so what was acknowledged is seen by the scan
 * that follows, and the bucket is opened again. All times are differences that one node measures with its own clocks.
 */
export class Closings {
  readonly #runtime: Runtime
  readonly #records: BucketRecords
  readonly #peers: StorePeers
  readonly #seen = new Map<string, Seen>()

  constructor(runtime: Runtime, records: BucketRecords, peers: StorePeers) {
    this.#runtime = runtime
    this.#records = records
    this.#peers = peers
  }

  async delete(name: string, options: DeleteOptions): Promise<void> {
    for (let round = 0; round < DELETE_ROUNDS; round++) {
      const read = await this.#records.read(name, options)
      if (read.bucket.phase === 'closing') await this.opened(read, options)
      else {
        if (!(await this.#records.isEmpty(read.bucket, options))) throw notEmpty(name)
        if (read.record.life === undefined) return await this.#records.remove(name, read.context, options)
        if (await this.#deleteInSteps(read, options)) return
      }
    }
    throw new AtollError('ATOLL_OVERLOADED', `others delete or create bucket "${name}" at the same time`)
  }

  /**
   * Resolves with the bucket once nobody is about to delete it. Throws `ATOLL_BUCKET_NOT_FOUND` when it is deleted, and
   * `ATOLL_OVERLOADED` when that is not decided before long.
   */
  async opened(first: BucketRead, options: DeleteOptions): Promise<Bucket> {
    const { clock, random } = this.#runtime
    const { signal } = options
    const { name } = first.bucket.info
    const endMs = clock.monotonicMs() + PATIENCE_MS
    for (let read = first; ; read = await this.#records.read(name, options)) {
      if (read.bucket.phase !== 'closing') {
        this.#seen.delete(name)
        return read.bucket
      }
      const nowMs = clock.monotonicMs()
      if (this.#isAbandoned(read)) await this.#reopen({ ...read, options, began: instantOf(clock) })
      else if (nowMs > endMs) throw new AtollError('ATOLL_OVERLOADED', `bucket "${name}" is being deleted`)
      else await abortable(signal, clock.sleep(LOOK_MS + random.below(LOOK_MS), { signal }))
    }
  }

  /** False if somebody else has written the record, so that all begins anew. */
  async #deleteInSteps(read: BucketRead, options: DeleteOptions): Promise<boolean> {
    const began = instantOf(this.#runtime.clock)
    const mark = this.#runtime.random.below(MARKS)
    const closing = next(read.record, 'closing', mark)
    const closed = { ...read, record: closing, options, began }
    if (!(await this.#close(closed))) return false
    const context = await this.#whenUnknown(closed)
    return context !== undefined && (await this.#finish({ ...closed, context }))
  }

  async #close(closed: Closed): Promise<boolean> {
    const { bucket, record, context, options } = closed
    const { name } = bucket.info
    try {
      const { accepted } = await this.#records.write(name, record, { context, ifUnchanged: 'one', options })
      return accepted > 0
    } catch (error) {
      if (!isAtollError(error) || !error.definite) await this.#reopen(closed)
      throw error
    } finally {
      this.#records.knowledge.drop(name)
    }
  }

  /**
   * Waits until nobody goes by what was known before, and looks whether the bucket is empty. Answers what the next write
   * goes by, or undefined if others have gone on. Whatever goes wrong, the bucket is open again then.
   */
  async #whenUnknown(closed: Closed): Promise<Uint8Array | undefined> {
    const { bucket, record, options } = closed
    const { clock } = this.#runtime
    const { name } = bucket.info
    try {
      const areThere = this.#peers.areThere()
      if (areThere) await abortable(options.signal, clock.sleep(WAIT_MS, { signal: options.signal }))
      const now = await this.#records.read(name, options)
      if (!isSameRecord(now.record, record)) return undefined
      if (!(await this.#records.isEmpty(bucket, options))) throw notEmpty(name)
      const isLate = elapsedMs(clock, closed.began) > BEGIN_MS || this.#peers.areThere() !== areThere
      if (isLate) throw new AtollError('ATOLL_OVERLOADED', `bucket "${name}" could not be deleted in time`)
      return now.context
    } catch (error) {
      await this.#reopen(closed)
      throw error
    }
  }

  /** The bucket is empty, and nobody can put anything into it. */
  async #finish(closed: Closed): Promise<true> {
    const { bucket, record, context, options, began } = closed
    const { name } = bucket.info
    try {
      await this.#records.write(name, next(record, 'deleted', 0), { context, options })
    } catch (error) {
      if (isAtollError(error) && error.definite) await this.#reopen(closed)
      throw error
    }
    if (elapsedMs(this.#runtime.clock, began) <= ANSWER_MS) return true
    const message = `bucket "${name}" was deleted so late that others may have opened it again`
    throw withDefinite(new AtollError('ATOLL_OVERLOADED', message), false)
  }

  /** As far as it can be; else whoever wants to put something into the bucket does it when its closing is abandoned. */
  async #reopen({ bucket, record, options }: Closed): Promise<void> {
    const { name } = bucket.info
    try {
      const now = await this.#records.read(name, { ...options, signal: undefined })
      if (!isSameRecord(now.record, record)) return
      const { context } = now
      const asked = { ...options, signal: undefined }
      await this.#records.write(name, next(record, 'open', 0), {
        context,
        ifUnchanged: 'one',
        options: asked,
      })
      this.#runtime.probe.mark('objects.bucket.opened-again')
    } catch (error) {
      const fields = { bucket: name, error: messageOf(error) }
      this.#runtime.log.warn(fields, 'a bucket that was not deleted is left closing for a while')
    }
  }

  #isAbandoned({ bucket, record }: BucketRead): boolean {
    const { name } = bucket.info
    const nowMs = this.#runtime.clock.monotonicMs()
    const seen = this.#seen.get(name)
    if (seen !== undefined && isSameRecord(seen.record, record)) return nowMs - seen.sinceMs > ABANDONED_MS
    const [oldest] = this.#seen.keys()
    if (this.#seen.size >= MAX_SEEN && oldest !== undefined) this.#seen.delete(oldest)
    this.#seen.set(name, { record, sinceMs: nowMs })
    return false
  }
}

function next(record: BucketRecord, phase: BucketPhase, mark: number): BucketRecord {
  const { life } = record
  return life === undefined ? record : { ...record, phase, life: { ...life, step: life.step + 1, mark } }
}

function notEmpty(name: string): AtollError {
  return new AtollError('ATOLL_BUCKET_NOT_EMPTY', `bucket "${name}" still holds objects`)
}
