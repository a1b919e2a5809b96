import type { Clock, Timer } from '@atoll/core'

export interface KeepAliveOptions {
  readonly keepAliveMs: number
  readonly keepAliveTimeoutMs: number
}

/**
 * Notices a peer that is gone without a word. Silence is counted in ticks of our own timer, not by the clock: if this
 * process stood still, it has one tick behind it, not a silent peer.
 */
export class KeepAlive {
  readonly #clock: Clock
  readonly #options: KeepAliveOptions
  readonly #on: { readonly silence: () => void; readonly timeout: () => void }
  #timer: Timer | undefined
  #heard = true
  #held = false
  #silentTicks = 0

  constructor(clock: Clock, options: KeepAliveOptions, on: { silence: () => void; timeout: () => void }) {
    this.#clock = clock
    this.#options = options
    this.#on = on
  }

  /** True until a whole tick has passed in silence, and the peer was asked for a sign of life. */
  get lively(): boolean {
    return this.#silentTicks === 0
  }

  start(): void {
    this.#timer = this.#clock.timer(this.#options.keepAliveMs, this.#tick, { background: true })
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Something arrived. */
  hear(): void {
    this.#heard = true
  }

  /** Nothing is read for now, so nothing can be heard. */
  hold(held: boolean): void {
    this.#held = held
  }

  readonly #tick = (): void => {
    const { keepAliveMs, keepAliveTimeoutMs } = this.#options
    this.#silentTicks = this.#heard || this.#held ? 0 : this.#silentTicks + 1
    this.#heard = false
    if (this.#silentTicks * keepAliveMs >= keepAliveTimeoutMs) {
      this.#on.timeout()
      return
    }
    this.start()
    if (this.#silentTicks > 0) this.#on.silence()
  }
}
