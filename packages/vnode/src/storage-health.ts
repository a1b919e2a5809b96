import { type Clock, type Log, type Metrics, messageOf, RetryLoop } from '@atoll/core'

/** How the database of a node takes writes. */
export interface StorageState {
  /** Why it takes none at the moment; undefined if the last batch went through. */
  readonly failure: string | undefined
  /** Since when, in ms since 1970 by this node's clock; undefined without a failure. */
  readonly failedSinceMs: number | undefined
  /**
   * How many records that other nodes hold this one could not take, as far as it knows, since it was opened: by as much it
   * may be behind. Read repair, handoff and later writes make it less without this being counted.
   */
  readonly missed: number
  /** False while there is only room for writes that make room. Always true for a database that cannot say. */
  readonly hasRoom: boolean
}

export interface StorageHealthParts {
  readonly clock: Pick<Clock, 'wallMs' | 'timer'>
  readonly log: Log
  readonly metrics: Metrics
  readonly hasRoom: () => boolean
  /** Writes something that changes nothing, to find out whether writes go through again. */
  readonly tryWrite: () => Promise<void>
}

const FIRST_TRY_MS = 500
const LONGEST_TRY_MS = 10_000

/** Watches the writes of a database, and tries by itself whether they go through again after one has failed. */
export class StorageHealth {
  readonly #parts: StorageHealthParts
  readonly #loop: RetryLoop
  #failure: { readonly reason: string; readonly sinceMs: number; readonly missed: number } | undefined
  #missed = 0
  #hasFailed = false
  #isOpen = false

  constructor(parts: StorageHealthParts) {
    this.#parts = parts
    const attempt = async () => {
      await parts.tryWrite()
      this.succeeded()
      return true
    }
    const delays = { firstDelayMs: FIRST_TRY_MS, longestDelayMs: LONGEST_TRY_MS }
    this.#loop = new RetryLoop(parts.clock, { attempt, ...delays })
  }

  get state(): StorageState {
    return {
      failure: this.#failure?.reason,
      failedSinceMs: this.#failure?.sinceMs,
      missed: this.#missed,
      hasRoom: this.#parts.hasRoom(),
    }
  }

  /** Whether a batch has failed since the database was opened. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** The database was opened. */
  open(): void {
    this.#hasFailed = false
    this.#isOpen = true
    this.#parts.metrics.gauge('atoll_vnode_storage_failed', 0)
  }

  failed(cause: unknown): void {
    this.#hasFailed = true
    if (!this.#isOpen || this.#failure !== undefined) return
    const { clock, log, metrics } = this.#parts
    this.#failure = { reason: messageOf(cause), sinceMs: clock.wallMs(), missed: this.#missed }
    metrics.gauge('atoll_vnode_storage_failed', 1)
    log.error({ err: cause }, 'the database takes no writes')
    this.#loop.start()
  }

  /** Called for every batch that went through. */
  succeeded(): void {
    if (this.#failure === undefined) return
    const { clock, log, metrics } = this.#parts
    const { sinceMs, missed } = this.#failure
    const lostMs = clock.wallMs() - sinceMs
    this.#failure = undefined
    this.#loop.stop()
    metrics.gauge('atoll_vnode_storage_failed', 0)
    log.warn({ failedMs: lostMs, missed: this.#missed - missed }, 'the database takes writes again')
  }

  /** A record that other nodes hold was not taken. */
  missed(): void {
    this.#missed += 1
    this.#parts.metrics.count('atoll_vnode_missed_writes_total')
  }

  /** Something has changed: finds out at once whether writes go through again. */
  tryNow(): void {
    this.#loop.now()
  }

  /** Of a database that is closed nothing is known, and nothing is tried. Resolves when no attempt is under way. */
  async close(): Promise<void> {
    this.#isOpen = false
    this.#loop.stop()
    await this.#loop.ended()
    if (this.#failure !== undefined) this.#parts.metrics.gauge('atoll_vnode_storage_failed', 0)
    this.#failure = undefined
    this.#missed = 0
  }
}
