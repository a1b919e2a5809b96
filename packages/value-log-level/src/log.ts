import type { AtollError, Timer } from '@atoll/core'
import type { Applier } from './applier.ts'
import type { LogPosition } from './checkpoint.ts'
import type { FilePool } from './file-pool.ts'
import { LogWriter } from './log-writer.ts'
import type { ValueLogSettings } from './options.ts'
import type { Overlay } from './overlay.ts'
import type { ValueLogRuntime } from './ports.ts'
import type { Op } from './record.ts'
import type { BatchChain } from './requests.ts'
import type { Salt } from './salt.ts'
import type { Segments } from './segments.ts'
import { storageError } from './storage-error.ts'
import {
  type Group,
  type PushOptions,
  refuse,
  refused,
  type Stage,
  unbuilt,
  type Waiting,
  WriteQueue,
} from './write-queue.ts'

export interface LogContext {
  readonly runtime: ValueLogRuntime
  readonly settings: ValueLogSettings
  readonly pool: FilePool
  readonly segments: Segments
  readonly overlay: Overlay
  readonly applier: Applier
}

export interface LogStart {
  readonly position: LogPosition
  /** What tells the records of this opening from all other bytes. */
  readonly salt: Salt
}

/** How many operations the inner database gets at a time, about. */
const APPLY_OPS = 2048
/** How many durable operations are gathered before they are applied, and for how long at most. */
const GATHERED_OPS = 256
const GATHERING_MS = 100
/** What share of a segment they may take: only what is applied is known to be dead. */
const GATHERED_SHARE = 1 / 64
/** How far the log may run ahead of the inner database, about. */
const AHEAD_BYTES = 64 * 1024 * 1024

/**
 * The way of a batch, in three stages that work at the same time, each on all that the one before has finished: write a
 * group of batches as one record, sync, apply to the inner database. A small group that somebody waits for, while no other
 * waits for a sync, is written and synced in one go. A batch is acknowledged when it is durable, or as
 * soon as it is written; until it is applied the overlay answers for it. The inner database never holds what the synced
 * log does not: otherwise a crash could leave it with pointers to nothing. A failed write costs its batches, and those
 * that build on them: the next record takes its place. A failed sync ends all writing until the log is opened again,
 * since nobody knows what it has left behind; what was durable before is applied all the same. If applying fails, it is
 * the next open that brings it into the inner database.
 */
export class Log {
  readonly #context: LogContext
  readonly #queue: WriteQueue
  readonly #writer: LogWriter
  /** Written, and not synced. */
  #written: Group[] = []
  /** Synced, and not applied. */
  #durable: Group[] = []
  #writing = false
  #syncing = false
  #applying = false
  /** Somebody waits for what is written. */
  #urgent = false
  #flush: Timer | undefined
  /** What is gathered to be applied, and until when. */
  #gatheredOps = 0
  #gatheredBytes = 0
  #isAwaited = false
  #gathering: Timer | undefined
  #aheadBytes = 0
  #onRoom: (() => void) | undefined
  #onIdle: (() => void)[] = []
  #synced: number
  #applied: LogPosition
  #failure: AtollError | undefined
  /** Why the last record could not be written, if it could not. */
  #writeFailure: AtollError | undefined
  #canApply = true
  /** Called with the bytes by which the log has grown, when they have been applied. */
  onApplied: (bytes: number) => void = () => {}
  /** Called when the log takes no more writes until it is opened again. */
  onFailed: (failure: AtollError) => void = () => {}

  constructor(context: LogContext, { position, salt }: LogStart) {
    this.#context = context
    this.#queue = new WriteQueue(context.settings)
    this.#synced = position.sequence - 1
    this.#applied = position
    const { pool, segments, runtime } = context
    const { crc32 } = runtime.digest
    this.#writer = new LogWriter({ crc32, pool, segments, salt, synced: () => this.#synced }, position)
  }

  /** Everything up to here is in the inner database. */
  get applied(): LogPosition {
    return this.#applied
  }

  /** False once the inner database has failed: it may lack what is durable in the log. */
  get canApply(): boolean {
    return this.#canApply
  }

  /** Why writes fail, if the last one did. */
  get failure(): AtollError | undefined {
    return this.#failure ?? this.#writeFailure
  }

  /** Appends a batch, which is applied as a whole or not at all. Resolves when it has come as far as `until`. */
  append(ops: readonly Op[], until: Stage, chain?: BatchChain): Promise<void> {
    if (chain?.failure !== undefined) return Promise.reject(unbuilt(chain.failure))
    return this.#enqueue(ops, until, { chain })
  }

  /** Calls `run` when all batches so far have been applied, and none after them. */
  barrier(run: () => void): Promise<void> {
    return this.#enqueue([], 'applied', { run })
  }

  /**
   * Goes on to another, small segment, so that the one being written can be compacted. Resolves when all that the old one
   * holds has been applied; rejects if there is no room for another.
   */
  leave(): Promise<void> {
    return this.#enqueue([], 'applied', { leaves: true })
  }

  /** True while somebody waits for the disk. */
  get isBusy(): boolean {
    return this.#queue.length > 0 || this.#writing || this.#urgent
  }

  /** Calls `run` when all that was acknowledged has been applied, and nothing that is still to come. */
  catchUp(run: () => void): Promise<void> {
    const isDurable = this.#context.overlay.newest <= this.#synced
    const failure = isDurable && this.#canApply ? undefined : this.#failure
    if (failure !== undefined) return Promise.reject(failure)
    return new Promise((resolve, reject) => {
      const nothing = { ops: [], metaBytes: 0, bodyBytes: 0, leaves: false, chain: undefined }
      const group = groupOfNothing([{ ...nothing, until: 'applied', run, resolve, reject }])
      if (isDurable) this.#startApplying([group])
      else this.#passOn(group)
    })
  }

  /** Resolves when no stage is at work: after a failure, too. */
  async idle(): Promise<void> {
    for (;;) {
      if (this.#canApply) this.#applyNow()
      if (!this.#writing && !this.#syncing && !this.#applying) return
      await new Promise<void>((resolve) => this.#onIdle.push(resolve))
    }
  }

  #enqueue(ops: readonly Op[], until: Stage, options: PushOptions): Promise<void> {
    if (this.#failure !== undefined) return refused(this.#failure, options.chain)
    const acknowledged = this.#queue.push(ops, until, options)
    if (!this.#writing && this.#queue.length > 0) {
      this.#writing = true
      // Whatever else is appended in this turn shares the record.
      queueMicrotask(() => void this.#write())
    }
    return acknowledged
  }

  async #write(): Promise<void> {
    for (let first = this.#queue.first; first !== undefined; first = this.#queue.first) {
      if (this.#aheadBytes > AHEAD_BYTES) await this.#untilRoom()
      if (this.#failure !== undefined) break
      if (first.run !== undefined) this.#passOn(groupOfNothing(this.#queue.take(1)))
      else if (first.leaves) await this.#leave(this.#queue.take(1))
      else await this.#writeGroup(first)
    }
    this.#writing = false
    this.#rest()
  }

  #rest(): void {
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  /** A barrier goes the way of the groups, as a group of nothing. */
  #passOn(group: Group): void {
    this.#written.push(group)
    this.#urgent = true
    this.#startSync()
  }

  async #writeGroup(first: Waiting): Promise<void> {
    const count = this.#queue.countThatFits(this.#writer.roomBytes)
    if (count === 0) return this.#rotate(first)
    const waiting = this.#queue.take(count)
    try {
      await this.#writeRecord(waiting)
    } catch (error) {
      this.#writeFailure = storageError('writing the log', error)
      this.#queue.fail(waiting, this.#writeFailure)
    }
  }

  async #writeRecord(waiting: readonly Waiting[]): Promise<void> {
    // What it builds on must be durable before it is.
    const isNext = this.#written.length === 0 && !this.#syncing
    const isAwaited = waiting.some(({ until }) => until === 'durable')
    const group = await this.#writer.write(waiting, isNext && isAwaited)
    this.#writeFailure = undefined
    if (this.#failure !== undefined) return this.#reject([group], this.#failure)
    this.#aheadBytes += group.bytes
    if (group.isDurable) {
      this.#acknowledgeDurable(group)
      this.#startApplying([group])
      return
    }
    this.#acknowledgeWritten(group)
    this.#written.push(group)
    this.#startSync()
  }

  /** What fails here harms nobody: the segment is written on. */
  async #leave(waiting: readonly Waiting[]): Promise<void> {
    try {
      await this.#writer.leave()
      await this.#writeRecord(waiting)
    } catch (error) {
      this.#queue.fail(waiting, storageError('leaving a segment', error))
    }
  }

  /** A segment that cannot be created, or left, fails the batch that needs it, and harms nothing else. */
  async #rotate(first: Waiting): Promise<void> {
    try {
      await this.#writer.rotate(first)
      void this.#context.segments.makeReady()
    } catch (error) {
      this.#writeFailure = storageError('going on to the next segment', error)
      this.#queue.fail(this.#queue.take(1), this.#writeFailure)
    }
  }

  #acknowledgeWritten({ waiting, ops, sequence }: Group): void {
    if (!waiting.some(({ until }) => until === 'written')) {
      this.#urgent = true
      return
    }
    let at = 0
    for (const one of waiting) {
      const end = at + one.ops.length
      if (one.until !== 'written') this.#urgent = true
      else {
        this.#context.overlay.add(ops.slice(at, end), sequence)
        one.resolve()
      }
      at = end
    }
  }

  #acknowledgeDurable({ waiting, ops, sequence }: Group): void {
    this.#synced = Math.max(this.#synced, sequence)
    if (waiting.every(({ until }) => until === 'written')) return
    // Those of the group that were added before are overtaken by this: in a record, the order counts.
    if (ops.length > 0) this.#context.overlay.add(ops, sequence)
    for (const { until, resolve } of waiting) if (until !== 'applied') resolve()
  }

  #startSync(): void {
    if (this.#syncing || this.#written.length === 0) return
    if (this.#urgent) {
      this.#syncing = true
      void this.#sync()
      return
    }
    this.#flush ??= this.#context.runtime.clock.timer(this.#context.settings.flushDelayMs, () => {
      this.#flush = undefined
      this.#hurry()
    })
  }

  #hurry(): void {
    this.#urgent = true
    this.#startSync()
  }

  async #sync(): Promise<void> {
    while (this.#urgent && this.#written.length > 0 && this.#failure === undefined) {
      const groups = this.#written
      this.#written = []
      this.#urgent = false
      this.#flush?.cancel()
      this.#flush = undefined
      try {
        await this.#syncFiles(groups)
      } catch (error) {
        this.#fail('syncing the log', error)
      }
      if (this.#failure !== undefined) {
        this.#reject(groups, this.#failure)
        break
      }
      for (const group of groups) this.#acknowledgeDurable(group)
      this.#startApplying(groups)
    }
    this.#syncing = false
    this.#startSync()
    this.#rest()
  }

  async #syncFiles(groups: readonly Group[]): Promise<void> {
    const slots = new Set<number>()
    for (const { left, slot, bytes } of groups) {
      for (const one of left) slots.add(one)
      if (bytes > 0) slots.add(slot)
    }
    const { pool } = this.#context
    await Promise.all([...slots].map((slot) => pool.use(slot, (file) => file.sync())))
  }

  /** What nobody waits for is gathered: a batch of the inner database costs as much for one operation as for fifty. */
  #startApplying(groups: readonly Group[]): void {
    this.#durable.push(...groups)
    this.#count(groups)
    this.#gather()
  }

  #count(groups: readonly Group[]): void {
    for (const { ops, bytes, waiting } of groups) {
      this.#gatheredOps += ops.length
      this.#gatheredBytes += bytes
      this.#isAwaited ||= waiting.some(({ until }) => until === 'applied')
    }
  }

  #gather(): void {
    if (this.#applying || this.#durable.length === 0) return
    if (this.#isDue) this.#applyNow()
    else this.#gathering ??= this.#context.runtime.clock.timer(GATHERING_MS, () => this.#applyNow())
  }

  get #isDue(): boolean {
    if (this.#isAwaited || this.#gatheredOps >= GATHERED_OPS) return true
    return this.#gatheredBytes >= this.#context.settings.segmentBytes * GATHERED_SHARE
  }

  #applyNow(): void {
    this.#gathering?.cancel()
    this.#gathering = undefined
    if (this.#applying || this.#durable.length === 0) return
    this.#applying = true
    void this.#apply()
  }

  async #apply(): Promise<void> {
    do {
      this.#gatheredOps = 0
      this.#gatheredBytes = 0
      this.#isAwaited = false
      const groups = this.#durable.splice(0, this.#countToApply())
      this.#count(this.#durable)
      const ops = groups.length === 1 ? (groups[0]?.ops ?? []) : groups.flatMap((group) => group.ops)
      try {
        await this.#context.applier.apply(ops, groups.at(-1)?.sequence ?? 0)
      } catch (error) {
        this.#canApply = false
        const failure = this.#fail('applying the log to the inner database', error)
        this.#reject([...groups, ...this.#durable.splice(0)], failure)
        break
      }
      this.#context.overlay.applied(groups.at(-1)?.sequence ?? 0)
      for (const group of groups) this.#finish(group)
    } while (this.#isDue && this.#durable.length > 0)
    this.#applying = false
    if (this.#canApply) this.#gather()
    this.#rest()
  }

  /** Groups up to the next barrier, or that barrier alone. */
  #countToApply(): number {
    let ops = 0
    let count = 0
    for (const group of this.#durable) {
      const isBarrier = group.waiting[0]?.run !== undefined
      if (isBarrier) return Math.max(1, count)
      count += 1
      ops += group.ops.length
      if (ops >= APPLY_OPS) break
    }
    return count
  }

  #finish({ waiting, bytes, sequence, slot, end, left }: Group): void {
    if (bytes > 0) {
      for (const one of left) {
        const segment = this.#context.segments.get(one)
        const lastEnd = one === this.#applied.slot ? this.#applied.offset : undefined
        if (segment !== undefined) this.#context.segments.finish(segment, lastEnd)
      }
      this.#applied = { slot, offset: end, sequence: sequence + 1, lastOffset: end - bytes }
      this.#aheadBytes -= bytes
      this.#onRoom?.()
      this.onApplied(bytes)
    }
    for (const { until, run, resolve } of waiting) {
      run?.()
      if (until === 'applied') resolve()
    }
  }

  #untilRoom(): Promise<void> {
    this.#hurry()
    this.#applyNow()
    return new Promise((resolve) => {
      this.#onRoom = () => {
        this.#onRoom = undefined
        resolve()
      }
    })
  }

  #fail(doing: string, error: unknown): AtollError {
    const failure = storageError(doing, error)
    this.#failure ??= failure
    this.#context.runtime.log.error({ err: error }, `the value log takes no more writes: ${failure.message}`)
    this.#flush?.cancel()
    this.#reject(this.#written, failure)
    this.#written = []
    this.#queue.abandon(failure)
    this.#onRoom?.()
    this.onFailed(this.#failure)
    return failure
  }

  #reject(groups: readonly Group[], failure: AtollError): void {
    for (const { waiting } of groups) for (const one of waiting) refuse(one, failure)
  }
}

function groupOfNothing(waiting: readonly Waiting[]): Group {
  return { waiting, ops: [], bytes: 0, sequence: 0, slot: 0, end: 0, left: [], isDurable: false }
}
