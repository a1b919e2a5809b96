import type { Clock } from '@atoll/core'

/** A limit in bytes per second, over time: who goes over it waits until it is made up for. */
export class Pace {
  readonly #clock: Clock
  readonly #bytesPerSecond: number
  #freeAtMs = 0

  /** 0 for no limit. */
  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
  }

  /** Counts bytes, and says for how long nothing more should go, in milliseconds. */
  charge(bytes: number): number {
    if (this.#bytesPerSecond === 0) return 0
    const nowMs = this.#clock.monotonicMs()
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + (bytes * 1000) / this.#bytesPerSecond
    return this.#freeAtMs - nowMs
  }
}
