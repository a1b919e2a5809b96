import { type Clock, checkDelay, sleepOn, type Timer } from '@atoll/core'
import type { Scheduler } from './event-queue.ts'
import type { Prng } from './prng.ts'

/** A machine came up at most this long ago when the world begins: monotonic clocks of two machines do not agree. */
const MAX_UPTIME_MS = 1_000_000

/** How wrong the oscillator of a machine may be: 5 %, far beyond any real one. */
const MAX_DRIFT_PPM = 50_000

export interface MachineClockOptions {
  /** Names the machine in the trace. */
  readonly name: string
  /** What the wall clocks show when the world begins, in ms since 1970. */
  readonly startWallMs: number
  /** How much later than asked a timer may fire at most, in ms. Drawn for every timer. */
  readonly timerSlackMs: number
}

/** The clock of one machine. Its monotonic side can run fast or slow; its wall side can also be wrong, and jump. */
export class MachineClock implements Clock {
  readonly #scheduler: Scheduler
  readonly #prng: Prng
  readonly #options: MachineClockOptions
  readonly #label: string
  #rate = 1
  /** The machine's own time at the moment when its rate was last changed, and that moment. */
  #baseMs: number
  #sinceMs = 0
  #wallOffsetMs: number

  constructor(scheduler: Scheduler, prng: Prng, options: MachineClockOptions) {
    this.#scheduler = scheduler
    this.#prng = prng
    this.#options = options
    this.#label = `timer ${options.name}`
    this.#baseMs = prng.below(MAX_UPTIME_MS)
    this.#wallOffsetMs = options.startWallMs - this.#baseMs
  }

  monotonicMs(): number {
    return this.#baseMs + (this.#scheduler.nowMs - this.#sinceMs) * this.#rate
  }

  wallMs(): number {
    return Math.floor(this.monotonicMs() + this.#wallOffsetMs)
  }

  timer(delayMs: number, fire: () => void): Timer {
    checkDelay(delayMs)
    const { timerSlackMs } = this.#options
    const slackMs = timerSlackMs === 0 ? 0 : this.#prng.below(timerSlackMs * 1000 + 1) / 1000
    return this.#scheduler.schedule(Math.max(0, delayMs) / this.#rate + slackMs, this.#label, fire)
  }

  sleep(delayMs: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return sleepOn(this, delayMs, options)
  }

  /** Makes the wall clock wrong by `offsetMs` from now on. 0 sets it right again. */
  skew(offsetMs: number): void {
    const trueMs = this.#options.startWallMs + this.#scheduler.nowMs
    this.#wallOffsetMs = trueMs + offsetMs - this.monotonicMs()
  }

  /** Moves the wall clock by `ms`, as a correction by NTP or an operator does. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** Lets both sides gain `ppm` microseconds a second from now on; negative loses. */
  drift(ppm: number): void {
    if (Math.abs(ppm) > MAX_DRIFT_PPM)
      throw new RangeError(`ppm must be within ${MAX_DRIFT_PPM} of 0, got ${ppm}`)
    this.#baseMs = this.monotonicMs()
    this.#sinceMs = this.#scheduler.nowMs
    this.#rate = 1 + ppm / 1_000_000
  }
}
