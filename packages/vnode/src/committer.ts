import {
  type AtollError,
  assert,
  type Clock,
  isAtollError,
  KiB,
  type Metrics,
  MiB,
  storageFailure,
} from '@atoll/core'
import type { Counters } from './counters.ts'
import type { CountStep } from './counts.ts'
import { NOTED } from './database.ts'
import { NOTHING_KEY } from './layout.ts'
import type { BytesBatchOptions, Database, Operation } from './ports.ts'
import type { Sheet } from './sheets.ts'

export interface CommitterParts {
  readonly database: Pick<Database, 'batch' | 'batchBytes'>
  readonly clock: Clock
  readonly metrics: Metrics
  /** Called at once when a batch has failed, before anyone who waits for it. */
  readonly onFailed: (cause: unknown) => void
  /** Called when a batch has gone through. */
  readonly onDone: () => void
  /** Who keeps counts of what is written. */
  readonly counters: Pick<Counters, 'queued' | 'take'>
  /** Reads again what was kept in memory of what is on the disk: called after a failure, once the disk is known again. */
  readonly reload: () => Promise<void>
}

export interface CommitterLimits {
  readonly batchOperations: number
  readonly batchBytes: number
}

export interface CommitOptions {
  /** Where bytes of the operations are: it is released when these are on the disk. */
  readonly sheet?: Sheet | undefined
  /** Called when the batch has come to its end, either way, before anybody hears of that. */
  readonly onOver?: (() => void) | undefined
}

interface Write extends CommitOptions {
  readonly operations: readonly Operation[]
  readonly steps: readonly CountStep[]
  readonly bytes: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

const NO_STEPS: readonly CountStep[] = []
const NO_OPTIONS: CommitOptions = {}
const NOTHING: Operation[] = [{ type: 'del', key: NOTHING_KEY }]

/** A database that knows chains gets batches of about this size, and gathers them for a write and a sync by itself. */
const CHAINED_BYTES = MiB
/** To write less than this takes no time: while all writes are smaller, those that come wait and share the next sync. */
const LARGE_BYTES = 64 * KiB
/** How many are under way at most. */
const MAX_BATCHES = 16
/** How often the event loop goes round before a batch of small writes begins that others may join, and for how long. */
const GATHERING_TURNS = 3
const GATHERING_MS = 2

/**
 * Group commit: everything that arrives while a batch is on its way to the disk shares the next one, and its sync.
 * Batches go one after the other, in the order of arrival. Where the database knows chains, and there are large values,
 * the next ones do not wait: they are written while those before are synced. They are acknowledged in order all the
 * same. A batch that fails takes everything with it that comes behind it: what waits may have been computed from a
 * write that is not there. Callers read again and retry.
 */
export class Committer {
  readonly #parts: CommitterParts
  readonly #limits: CommitterLimits
  #queue: Write[] = []
  #isStarting = false
  #batchesUnderWay = 0
  #bytesUnderWay = 0
  /** Large writes that wait or are under way. */
  #large = 0
  /** The batches of one chain build on each other. */
  #chain: BytesBatchOptions['chain'] = {}
  /** Resolves when the outcome of the last batch has been told. */
  #last: Promise<void> = Promise.resolve()
  #failures = 0
  /** How many writes went with the last batch. */
  #writesBefore = 0
  /** False after a failure, until the database has taken something: before that nobody knows what came to the disk. */
  #isSettled = true
  #settling: Promise<void> | undefined

  constructor(parts: CommitterParts, limits: CommitterLimits) {
    this.#parts = parts
    this.#limits = limits
  }

  /**
   * Batches that have failed. What is read from the database, to decide on what is written, counts only while this does not
   * change, and `isSettled` is true: a failed batch may be found there later, when the database was opened again.
   */
  get failures(): number {
    return this.#failures
  }

  get isSettled(): boolean {
    return this.#isSettled
  }

  /** Resolves when the database has taken a write since the last failure, so that what is read there stays. */
  settle(): Promise<void> {
    if (this.#isSettled) return Promise.resolve()
    this.#settling ??= this.#settle().finally(() => {
      this.#settling = undefined
    })
    return this.#settling
  }

  /**
   * Writes something that changes nothing. After a failure what was kept of the disk is then read again, though nobody
   * may write anything else for long.
   */
  tryWrite(): Promise<void> {
    return this.#isSettled ? this.#parts.database.batch(NOTHING, NOTED) : this.settle()
  }

  /**
   * Queues operations that become durable together, and that say what large values they replace, with what they do to the
   * counts; rejects with `ATOLL_STORAGE` or `ATOLL_DISK_FULL`. How many wait is the caller's to bound.
   */
  commit(
    operations: readonly Operation[],
    steps: readonly CountStep[] = NO_STEPS,
    { sheet, onOver }: CommitOptions = NO_OPTIONS,
  ): Promise<void> {
    const bytes = bytesOf(operations)
    const durable = new Promise<void>((resolve, reject) => {
      this.#queue.push({ operations, steps, bytes, sheet, onOver, resolve, reject })
    })
    this.#parts.counters.queued(steps)
    if (bytes >= LARGE_BYTES) this.#large += 1
    // Commits of the same turn of the event loop begin together: the first does not go alone.
    if (!this.#isStarting) void this.#start()
    return durable
  }

  async #start(): Promise<void> {
    this.#isStarting = true
    await Promise.resolve()
    if (this.#isGathering) await this.#gather()
    this.#isStarting = false
    if (!this.#isSettled) return void this.settle().catch(() => {})
    while (this.#queue.length > 0 && this.#mayBegin()) this.#last = this.#commitNext(this.#last)
  }

  /** A write that comes alone, as those of a single client do, waits for nobody. */
  get #isGathering(): boolean {
    if (this.#batchesUnderWay > 0 || this.#large > 0 || !this.#isSettled) return false
    const { length } = this.#queue
    if (length >= this.#limits.batchOperations) return false
    return length > 0 && (length > 1 || this.#writesBefore > 1)
  }

  /**
   * Lets others join. To write and sync a batch costs the processor as much as a dozen small writes in it; and where
   * there is nothing else to do the event loop goes round in some microseconds.
   */
  async #gather(): Promise<void> {
    const { clock } = this.#parts
    const sinceMs = clock.monotonicMs()
    for (let turns = 0; turns < GATHERING_TURNS; turns++) {
      await new Promise<void>((resolve) => clock.timer(0, resolve))
      if (!this.#isGathering || clock.monotonicMs() - sinceMs >= GATHERING_MS) return
    }
  }

  #mayBegin(): boolean {
    if (!this.#isSettled) return false
    if (this.#batchesUnderWay === 0) return true
    if (this.#parts.database.batchBytes === undefined) return false
    if (this.#batchesUnderWay >= MAX_BATCHES || this.#bytesUnderWay >= this.#limits.batchBytes) return false
    return this.#large > 0
  }

  async #commitNext(before: Promise<void>): Promise<void> {
    const { clock, metrics } = this.#parts
    const chain = this.#chain
    const writes = this.#takeBatch()
    this.#writesBefore = writes.length
    const bytes = sumOf(writes, 'bytes')
    const startMs = clock.monotonicMs()
    this.#batchesUnderWay += 1
    this.#bytesUnderWay += bytes
    const failed = await this.#write(writes, chain)
    await before
    this.#batchesUnderWay -= 1
    this.#bytesUnderWay -= bytes
    this.#large -= largeOf(writes)
    if (failed !== undefined) this.#fail(writes, chain, failed.cause)
    else {
      assert(chain === this.#chain, 'a batch that builds on one that has failed is not written')
      this.#parts.onDone()
      metrics.observe('atoll_vnode_batch_writes', writes.length)
      metrics.observe('atoll_vnode_batch_bytes', bytes)
      metrics.observe('atoll_vnode_batch_ms', clock.monotonicMs() - startMs)
      for (const write of writes) {
        write.sheet?.release()
        write.onOver?.()
        write.resolve()
      }
    }
    void this.#start()
  }

  async #write(
    writes: readonly Write[],
    chain: BytesBatchOptions['chain'],
  ): Promise<{ readonly cause: unknown } | undefined> {
    const { database } = this.#parts
    try {
      const operations: Operation[] = []
      const steps: CountStep[] = []
      for (const write of writes) {
        for (const operation of write.operations) operations.push(operation)
        for (const step of write.steps) steps.push(step)
      }
      for (const operation of this.#parts.counters.take(steps)) operations.push(operation)
      const chained = { sync: true, tellsReplaced: true, chain }
      await (database.batchBytes?.(operations, chained) ?? database.batch(operations, NOTED))
      return undefined
    } catch (cause) {
      return { cause }
    }
  }

  #takeBatch(): readonly Write[] {
    let operations = 0
    let bytes = 0
    const { batchOperations } = this.#limits
    const isChained = this.#parts.database.batchBytes !== undefined
    const batchBytes = isChained ? Math.min(CHAINED_BYTES, this.#limits.batchBytes) : this.#limits.batchBytes
    const end = this.#queue.findIndex((write, at) => {
      operations += write.operations.length
      bytes += write.bytes
      return at > 0 && (operations > batchOperations || bytes > batchBytes)
    })
    return this.#queue.splice(0, end < 0 ? this.#queue.length : end)
  }

  /** What was there before has been told by now: so all that is pending is of this batch, or behind it. */
  #fail(writes: readonly Write[], chain: BytesBatchOptions['chain'], cause: unknown): void {
    this.#parts.metrics.count('atoll_vnode_batch_failures_total')
    const behind = chain === this.#chain ? this.#forgetAll(cause) : []
    const failed = storageFailure('the database failed a batch', cause, known(cause))
    for (const write of writes) refuse(write, failed)
    const unwritten = neverBegun(cause)
    for (const write of behind) refuse(write, unwritten)
  }

  /** Nothing that waits, or is known from before, counts any more. Answers what waited. */
  #forgetAll(cause: unknown): readonly Write[] {
    const behind = this.#queue
    this.#chain = {}
    this.#queue = []
    this.#large -= largeOf(behind)
    this.#isSettled = false
    this.#failures += 1
    this.#parts.onFailed(cause)
    return behind
  }

  async #settle(): Promise<void> {
    await this.#last
    const { database, metrics, onDone, reload } = this.#parts
    try {
      await database.batch(NOTHING, NOTED)
      await reload()
    } catch (cause) {
      metrics.count('atoll_vnode_batch_failures_total')
      const unwritten = neverBegun(cause)
      for (const write of this.#forgetAll(cause)) refuse(write, unwritten)
      throw unwritten
    }
    this.#isSettled = true
    onDone()
    void this.#start()
  }
}

function refuse({ onOver, reject }: Write, error: AtollError): void {
  onOver?.()
  reject(error)
}

/** A database of Atoll's, or its guard, may know that nothing was written. */
function known(cause: unknown): { readonly definite?: boolean; readonly transient?: boolean } {
  return isAtollError(cause) ? { definite: cause.definite, transient: cause.transient } : {}
}

function neverBegun(cause: unknown): AtollError {
  const message = 'the database failed a batch before this write began'
  return storageFailure(message, cause, { ...known(cause), definite: true })
}

function bytesOf(operations: readonly Operation[]): number {
  let bytes = 0
  for (const operation of operations) {
    bytes += operation.key.length
    if (operation.type === 'put') bytes += operation.value.length + (operation.tail?.length ?? 0)
  }
  return bytes
}

function largeOf(writes: readonly Write[]): number {
  return writes.reduce((large, { bytes }) => (bytes >= LARGE_BYTES ? large + 1 : large), 0)
}

function sumOf(writes: readonly Write[], field: 'bytes'): number {
  return writes.reduce((sum, write) => sum + write[field], 0)
}
