import type { Clock, Timer } from './runtime.ts'

export interface RetryLoopOptions {
  /** Tries once, and resolves with true when nothing is left to do. A rejection counts as false. */
  readonly attempt: () => Promise<boolean>
  /** The pause before the first attempt, in ms. Each further one is twice as long. */
  readonly firstDelayMs: number
  readonly longestDelayMs: number
}

/**
 * Tries something in the background until it succeeds, with growing pauses. There is one timer or one attempt at a time,
 * however often it is started, stopped, and told to try now.
 */
export class RetryLoop {
  readonly #clock: Pick<Clock, 'timer'>
  readonly #options: RetryLoopOptions
  /** What runs now: an attempt that ends when another run has begun has nothing to say. */
  #run: object | undefined
  #timer: Timer | undefined
  #attempt: Promise<void> | undefined
  #delayMs = 0
  /** Whether it was started since the last attempt began: what that finds says nothing of what came later. */
  #isStartedAnew = false

  constructor(clock: Pick<Clock, 'timer'>, options: RetryLoopOptions) {
    this.#clock = clock
    this.#options = options
  }

  /**
   * The first attempt comes after `firstDelayMs`. While it runs, only an attempt that begins from now on can end it.
   */
  start(): void {
    this.#isStartedAnew = true
    if (this.#run !== undefined) return
    this.#run = {}
    this.#waitAnew()
  }

  /** Tries at once, if it runs and no attempt is under way. */
  now(): void {
    if (this.#run === undefined || this.#timer === undefined) return
    this.#timer.cancel()
    this.#begin()
  }

  /** Tries no more. An attempt that is under way goes on: see `ended`. */
  stop(): void {
    this.#run = undefined
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Resolves when no attempt is under way. */
  async ended(): Promise<void> {
    while (this.#attempt !== undefined) await this.#attempt
  }

  #waitAnew(): void {
    this.#delayMs = this.#options.firstDelayMs
    this.#wait()
  }

  #wait(): void {
    this.#timer = this.#clock.timer(this.#delayMs, () => this.#begin(), { background: true })
    this.#delayMs = Math.min(this.#options.longestDelayMs, 2 * this.#delayMs)
  }

  #begin(): void {
    this.#timer = undefined
    // Of a run before: this one begins behind it.
    const before = this.#attempt
    const attempt: Promise<void> = this.#try(this.#run, before).finally(() => {
      if (this.#attempt === attempt) this.#attempt = undefined
    })
    this.#attempt = attempt
  }

  async #try(run: object | undefined, before: Promise<void> | undefined): Promise<void> {
    await before
    if (run === undefined || this.#run !== run) return
    this.#isStartedAnew = false
    const isDone = await this.#options.attempt().catch(() => false)
    if (this.#run !== run) return
    if (!isDone) this.#wait()
    else if (this.#isStartedAnew) this.#waitAnew()
    else this.#run = undefined
  }
}
