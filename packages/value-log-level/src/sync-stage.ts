import type { AtollError, Timer } from '@atoll/core'
import type { FilePool } from './file-pool.ts'
import type { ValueLogSettings } from './options.ts'
import type { ValueLogRuntime } from './ports.ts'
import { type Group, refuseGroups } from './write-queue.ts'

export interface SyncStageContext {
  readonly clock: Pick<ValueLogRuntime['clock'], 'timer'>
  readonly settings: Pick<ValueLogSettings, 'flushDelayMs'>
  readonly pool: FilePool
  /** Groups that are durable from now on, in their order. */
  readonly onDurable: (groups: readonly Group[]) => void
  /** A sync has failed: whoever hears it stops the stage. */
  readonly onFailed: (error: unknown) => void
  readonly onRest: () => void
}

/**
 * What is written, and not synced: one sync is for all that was written meanwhile (group commit). It begins at once if
 * somebody waits for it, or else after `flushDelayMs`.
 */
export class SyncStage {
  readonly #context: SyncStageContext
  #written: Group[] = []
  #syncing = false
  /** Somebody waits for what is written. */
  #urgent = false
  #flush: Timer | undefined
  #failure: AtollError | undefined

  constructor(context: SyncStageContext) {
    this.#context = context
  }

  /** Nothing is written that is not durable. */
  get isEmpty(): boolean {
    return this.#written.length === 0 && !this.#syncing
  }

  get isAtWork(): boolean {
    return this.#syncing
  }

  push(group: Group, isUrgent: boolean): void {
    this.#written.push(group)
    this.#urgent ||= isUrgent
    this.#start()
  }

  hurry(): void {
    this.#urgent = true
    this.#start()
  }

  /** Ends it: what is not durable is refused, and so is what is being synced. */
  stop(failure: AtollError): void {
    this.#failure ??= failure
    this.#flush?.cancel()
    refuseGroups(this.#written, failure)
    this.#written = []
  }

  #start(): void {
    if (this.#syncing || this.#written.length === 0) return
    if (this.#urgent) {
      this.#syncing = true
      void this.#sync()
      return
    }
    const { clock, settings } = this.#context
    this.#flush ??= clock.timer(settings.flushDelayMs, () => {
      this.#flush = undefined
      this.hurry()
    })
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
        this.#context.onFailed(error)
      }
      if (this.#failure !== undefined) {
        refuseGroups(groups, this.#failure)
        break
      }
      this.#context.onDurable(groups)
    }
    this.#syncing = false
    this.#start()
    this.#context.onRest()
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
}
