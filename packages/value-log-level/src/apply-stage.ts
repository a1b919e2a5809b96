import type { AtollError, Timer } from '@atoll/core'
import type { Applier } from './applier.ts'
import type { LogPosition } from './checkpoint.ts'
import type { ValueLogSettings } from './options.ts'
import type { Overlay } from './overlay.ts'
import type { ValueLogRuntime } from './ports.ts'
import type { Segments } from './segments.ts'
import { type Group, refuseGroups } from './write-queue.ts'

export interface ApplyStageContext {
  readonly clock: Pick<ValueLogRuntime['clock'], 'timer'>
  readonly settings: Pick<ValueLogSettings, 'segmentBytes'>
  readonly segments: Segments
  readonly overlay: Overlay
  readonly applier: Applier
  /** So many bytes of log have been applied. */
  readonly onApplied: (bytes: number) => void
  /** The inner database has failed; what that is called is the answer. */
  readonly onFailed: (error: unknown) => AtollError
  readonly onRest: () => void
}

/** How many operations the inner database gets at a time, about. */
const APPLY_OPS = 2048
/** How many durable operations are gathered before they are applied, and for how long at most. */
const GATHERED_OPS = 256
const GATHERING_MS = 100
/** What share of a segment they may take: only what is applied is known to be dead. */
const GATHERED_SHARE = 1 / 64

/**
 * What is durable, and not applied to the inner database. What nobody waits for is gathered: a batch of the inner database
 * costs as much for one operation as for fifty.
 */
export class ApplyStage {
  readonly #context: ApplyStageContext
  #durable: Group[] = []
  #applying = false
  /** What is gathered, and until when. */
  #gatheredOps = 0
  #gatheredBytes = 0
  #isAwaited = false
  #gathering: Timer | undefined
  #applied: LogPosition
  #canApply = true

  constructor(context: ApplyStageContext, applied: LogPosition) {
    this.#context = context
    this.#applied = applied
  }

  /** Everything up to here is in the inner database. */
  get applied(): LogPosition {
    return this.#applied
  }

  /** False once the inner database has failed: it may lack what is durable in the log. */
  get canApply(): boolean {
    return this.#canApply
  }

  get isAtWork(): boolean {
    return this.#applying
  }

  push(groups: readonly Group[]): void {
    this.#durable.push(...groups)
    this.#count(groups)
    this.#gather()
  }

  /** Gathers no longer. */
  hurry(): void {
    this.#gathering?.cancel()
    this.#gathering = undefined
    if (this.#applying || this.#durable.length === 0) return
    this.#applying = true
    void this.#apply()
  }

  /** Applies nothing more; answers what waited for it. */
  stop(): readonly Group[] {
    this.#canApply = false
    return this.#durable.splice(0)
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
    if (this.#isDue) this.hurry()
    else this.#gathering ??= this.#context.clock.timer(GATHERING_MS, () => this.hurry())
  }

  get #isDue(): boolean {
    if (this.#isAwaited || this.#gatheredOps >= GATHERED_OPS) return true
    return this.#gatheredBytes >= this.#context.settings.segmentBytes * GATHERED_SHARE
  }

  async #apply(): Promise<void> {
    const { applier, overlay, onFailed, onRest } = this.#context
    do {
      this.#gatheredOps = 0
      this.#gatheredBytes = 0
      this.#isAwaited = false
      const groups = this.#durable.splice(0, this.#countToApply())
      this.#count(this.#durable)
      const ops = groups.length === 1 ? (groups[0]?.ops ?? []) : groups.flatMap((group) => group.ops)
      const sequence = groups.at(-1)?.sequence ?? 0
      try {
        await applier.apply(ops, sequence)
      } catch (error) {
        const others = this.stop()
        refuseGroups([...groups, ...others], onFailed(error))
        break
      }
      overlay.applied(sequence)
      for (const group of groups) this.#finish(group)
    } while (this.#isDue && this.#durable.length > 0)
    this.#applying = false
    if (this.#canApply) this.#gather()
    onRest()
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
    const { segments, onApplied } = this.#context
    if (bytes > 0) {
      for (const one of left) {
        const segment = segments.get(one)
        const lastEnd = one === this.#applied.slot ? this.#applied.offset : undefined
        if (segment !== undefined) segments.finish(segment, lastEnd)
      }
      this.#applied = { slot, offset: end, sequence: sequence + 1, lastOffset: end - bytes }
      onApplied(bytes)
    }
    for (const { until, run, resolve } of waiting) {
      run?.()
      if (until === 'applied') resolve()
    }
  }
}
