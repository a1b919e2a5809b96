import type { Random } from '@atoll/core'

export interface BackoffOptions {
  /** The longest pause after the first failure, in milliseconds; it doubles with each one that follows. */
  readonly baseMs: number
  /** The longest pause of all, in milliseconds. */
  readonly capMs: number
}

/** More doublings than any cap needs. */
const MAX_DOUBLINGS = 31

/**
 * Capped exponential backoff with full jitter: a pause is drawn evenly from nothing to a ceiling that doubles, so that
 * nodes which lost the same peer at one time do not come back at one time (M. Brooker, "Exponential Backoff And Jitter",
 * AWS Architecture Blog, 2015).
 */
export class Backoff {
  readonly #random: Random
  readonly #options: BackoffOptions
  #failures = 0
  #untilMs = 0

  constructor(random: Random, options: BackoffOptions) {
    this.#random = random
    this.#options = options
  }

  /** What is left of the pause, in milliseconds; 0 if the next attempt may begin. */
  remainingMs(nowMs: number): number {
    return Math.max(0, this.#untilMs - nowMs)
  }

  failed(nowMs: number): void {
    const { baseMs, capMs } = this.#options
    const ceilingMs = Math.min(capMs, baseMs * 2 ** this.#failures)
    this.#failures = Math.min(this.#failures + 1, MAX_DOUBLINGS)
    this.#untilMs = nowMs + this.#random.below(ceilingMs + 1)
  }
}
