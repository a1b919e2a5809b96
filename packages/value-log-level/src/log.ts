import { type AtollError, withDefinite } from '@atoll/core'
import type { Applier } from './applier.ts'
import { ApplyStage } from './apply-stage.ts'
import type { LogPosition } from './checkpoint.ts'
import type { FilePool } from './file-pool.ts'
import { LogWriter } from './log-writer.ts'
import type { Op } from './operation.ts'
import type { ValueLogSettings } from './options.ts'
import type { Overlay } from './overlay.ts'
import type { ValueLogRuntime } from './ports.ts'
import type { BatchChain } from './requests.ts'
import type { Salt } from './salt.ts'
import type { Segments } from './segments.ts'
import { storageError } from './storage-error.ts'
import { SyncStage } from './sync-stage.ts'
import {
  type Group,
  groupOfNothing,
  type PushOptions,
  refused,
  refuseGroups,
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
  readonly #sync: SyncStage
  readonly #apply: ApplyStage
  #writing = false
  #waiters = 0
  #waiting = 0
  #aheadBytes = 0
  #onRoom: (() => void) | undefined
  #onIdle: (() => void)[] = []
  #synced: number
  #failure: AtollError | undefined
  /** Why the last record could not be written, if it could not. */
  #writeFailure: AtollError | undefined
  /** Called with the bytes by which the log has grown, when they have been applied. */
  onApplied: (bytes: number) => void = () => {}
  /** Called when the log takes no more writes until it is opened again. */
  onFailed: (failure: AtollError) => void = () => {}

  constructor(context: LogContext, { position, salt }: LogStart) {
    this.#context = context
    this.#queue = new WriteQueue(context.settings)
    this.#synced = position.sequence - 1
    const { pool, segments, runtime, settings, overlay, applier } = context
    const { crc32 } = runtime.digest
    this.#writer = new LogWriter({ crc32, pool, segments, salt, synced: () => this.#synced }, position)
    const { clock } = runtime
    const onRest = () => this.#rest()
    this.#sync = new SyncStage({
      ...{ clock, settings, pool, onRest },
      onDurable: (groups) => this.#becameDurable(groups),
      onFailed: (error) => void this.#fail('syncing the log', error),
    })
    const stage = {
      ...{ clock, settings, segments, overlay, applier, onRest },
      onApplied: (bytes: number) => this.#wasApplied(bytes),
      onFailed: (error: unknown) => this.#fail('applying the log to the inner database', error),
    }
    this.#apply = new ApplyStage(stage, position)
  }

  /** Everything up to here is in the inner database. */
  get applied(): LogPosition {
    return this.#apply.applied
  }

  /** False once the inner database has failed: it may lack what is durable in the log. */
  get canApply(): boolean {
    return this.#apply.canApply
  }

  /** Why writes fail, if the last one did. */
  get failure(): AtollError | undefined {
    return this.#failure ?? this.#writeFailure
  }

  /** Appends a batch, which is applied as a whole or not at all. Resolves when it has come as far as `until`. */
  append(ops: readonly Op[], until: Stage, chain?: BatchChain): Promise<void> {
    if (chain?.failure !== undefined) return Promise.reject(unbuilt(chain.failure))
    const appended = this.#enqueue(ops, until, { chain })
    if (until === 'durable') this.#awaited(appended)
    return appended
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

  /** How many batches somebody has waited for until they were durable, ever. */
  get waiters(): number {
    return this.#waiters
  }

  /** True while somebody waits for one. */
  get isAwaited(): boolean {
    return this.#waiting > 0
  }

  /** Calls `run` when all that was acknowledged has been applied, and nothing that is still to come. */
  catchUp(run: () => void): Promise<void> {
    const isDurable = this.#context.overlay.newest <= this.#synced
    const failure = isDurable && this.canApply ? undefined : this.#failure
    if (failure !== undefined) return Promise.reject(failure)
    return new Promise((resolve, reject) => {
      const nothing = { ops: [], metaBytes: 0, bodyBytes: 0, leaves: false, chain: undefined }
      const group = groupOfNothing([{ ...nothing, until: 'applied', run, resolve, reject }])
      if (isDurable) this.#apply.push([group])
      else this.#sync.push(group, true)
    })
  }

  /** A write of the inner database has failed, and nothing can be applied behind it. */
  innerFailed(error: unknown): void {
    if (!this.canApply) return
    const groups = this.#apply.stop()
    refuseGroups(groups, this.#fail('writing to the inner database', error))
  }

  /** Resolves when no stage is at work: after a failure, too. */
  async idle(): Promise<void> {
    for (;;) {
      if (this.canApply) this.#apply.hurry()
      if (!this.#writing && !this.#sync.isAtWork && !this.#apply.isAtWork) return
      await new Promise<void>((resolve) => this.#onIdle.push(resolve))
    }
  }

  #awaited(appended: Promise<void>): void {
    this.#waiters += 1
    this.#waiting += 1
    const ends = () => {
      this.#waiting -= 1
    }
    appended.then(ends, ends)
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
      // A barrier goes the way of the groups, as a group of nothing.
      if (first.run !== undefined) this.#sync.push(groupOfNothing(this.#queue.take(1)), true)
      else if (first.leaves) await this.#leave(this.#queue.take(1))
      else await this.#writeGroup(first)
    }
    this.#writing = false
    this.#rest()
  }

  #rest(): void {
    for (const resolve of this.#onIdle.splice(0)) resolve()
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
    const isNext = this.#sync.isEmpty
    const isAwaited = waiting.some(({ until }) => until === 'durable')
    const group = await this.#writer.write(waiting, isNext && isAwaited)
    this.#writeFailure = undefined
    if (this.#failure !== undefined) return refuseGroups([group], this.#failure)
    this.#aheadBytes += group.bytes
    if (group.isDurable) this.#becameDurable([group])
    else this.#sync.push(group, this.#acknowledgeWritten(group))
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

  /** Tells whether somebody still waits for the group. */
  #acknowledgeWritten({ waiting, ops, sequence }: Group): boolean {
    if (!waiting.some(({ until }) => until === 'written')) return true
    let isAwaited = false
    let at = 0
    for (const one of waiting) {
      const end = at + one.ops.length
      if (one.until !== 'written') isAwaited = true
      else {
        this.#context.overlay.add(ops.slice(at, end), sequence)
        one.resolve()
      }
      at = end
    }
    return isAwaited
  }

  #becameDurable(groups: readonly Group[]): void {
    for (const group of groups) this.#acknowledgeDurable(group)
    this.#apply.push(groups)
  }

  #acknowledgeDurable({ waiting, ops, sequence }: Group): void {
    this.#synced = Math.max(this.#synced, sequence)
    if (waiting.every(({ until }) => until === 'written')) return
    // Those of the group that were added before are overtaken by this: in a record, the order counts.
    if (ops.length > 0) this.#context.overlay.add(ops, sequence)
    for (const { until, resolve } of waiting) if (until !== 'applied') resolve()
  }

  #wasApplied(bytes: number): void {
    this.#aheadBytes -= bytes
    this.#onRoom?.()
    this.onApplied(bytes)
  }

  #untilRoom(): Promise<void> {
    this.#sync.hurry()
    this.#apply.hurry()
    return new Promise((resolve) => {
      this.#onRoom = () => {
        this.#onRoom = undefined
        resolve()
      }
    })
  }

  #fail(doing: string, error: unknown): AtollError {
    // What was refused before the inner database may be in the log all the same.
    const failure = withDefinite(storageError(doing, error), false)
    this.#failure ??= failure
    this.#context.runtime.log.error({ err: error }, `the value log takes no more writes: ${failure.message}`)
    this.#sync.stop(failure)
    this.#queue.abandon(failure)
    this.#onRoom?.()
    this.onFailed(this.#failure)
    return failure
  }
}
