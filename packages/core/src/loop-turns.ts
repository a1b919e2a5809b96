import type { Clock } from './runtime.ts'

const INTERVAL_MS = 20

/**
 * Lets the event loop turn. Calls that need nothing from outside follow on each other in microtasks alone, for as long
 * as a caller goes on: no timer would fire and no socket be read meanwhile.
 */
export class LoopTurns {
  readonly #clock: Pick<Clock, 'monotonicMs' | 'sleep'>
  #sinceMs: number
  #turn: Promise<void> | undefined

  constructor(clock: Pick<Clock, 'monotonicMs' | 'sleep'>) {
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  /** Whether a call waits for `next` before it begins: every 20 ms, and while another one does, or it would never come. */
  get isDue(): boolean {
    return this.#turn !== undefined || this.#clock.monotonicMs() - this.#sinceMs >= INTERVAL_MS
  }

  /** Resolves when the event loop has turned. */
  next(): Promise<void> {
    this.#turn ??= this.#pass()
    return this.#turn
  }

  async #pass(): Promise<void> {
    await this.#clock.sleep(0)
    this.#sinceMs = this.#clock.monotonicMs()
    this.#turn = undefined
  }
}
