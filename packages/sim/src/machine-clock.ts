import { type Clock, checkDelay, sleepOn, type Timer, wrongRange } from '@atoll/core'
import type { Scheduler } from './event-queue.ts'
import type { Prng } from './prng.ts'

/** A machine came up at most this long ago when the world begins: monotonic clocks of two machines do not agree. */
const MAX_UPTIME_MS = 1_000_000

/** How wrong the oscillator of a machine may be: 5 %, far beyond any real one. */
const MAX_DRIFT_PPM = 50_000

/**
 * The shortest wait that is none at all: a microsecond. A shorter one may be lost in the rounding of virtual time, and then
 * whoever waits for what is left of a delay waits for ever at one moment.
 */
const LEAST_WAIT_MS = 0.001

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
  /** Hours that went by in the world at once. */
  #lapsedMs = 0
  /** While the machine is suspended its monotonic side stands; and for how long it has stood so far. */
  #stands = false
  #stoodMs = 0

  constructor(scheduler: Scheduler, prng: Prng, options: MachineClockOptions) {
    this.#scheduler = scheduler
    this.#prng = prng
    this.#options = options
    this.#label = `timer ${options.name}`
    this.#baseMs = prng.below(MAX_UPTIME_MS)
    this.#wallOffsetMs = options.startWallMs - this.#baseMs
  }

  monotonicMs(): number {
    return this.#stands ? this.#baseMs : this.#baseMs + (this.#scheduler.nowMs - this.#sinceMs) * this.#rate
  }

  wallMs(): number {
    return Math.floor(this.monotonicMs() + this.#asleepMs() + this.#wallOffsetMs)
  }

  timer(delayMs: number, fire: () => void): Timer {
    checkDelay(delayMs)
    const { timerSlackMs } = this.#options
    const slackMs = timerSlackMs === 0 ? 0 : this.#prng.below(timerSlackMs * 1000 + 1) / 1000
    const stoodMs = this.#stoodMs
    const shortestMs = delayMs > 0 ? LEAST_WAIT_MS : 0
    const waitMs = Math.max(shortestMs, delayMs) / this.#rate + slackMs
    const dueMs = this.#scheduler.nowMs + waitMs
    const awake = () => {
      // A timer does not run while its machine is suspended.
      const leftMs = dueMs + this.#stoodMs - stoodMs - this.#scheduler.nowMs
      if (this.#stoodMs === stoodMs || leftMs <= 0) fire()
      else timer = this.#scheduler.schedule(leftMs, this.#label, awake)
    }
    let timer = this.#scheduler.schedule(waitMs, this.#label, awake)
    return { cancel: () => timer.cancel() }
  }

  sleep(delayMs: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return sleepOn(this, delayMs, options)
  }

  /** Makes the wall clock wrong by `offsetMs` from now on. 0 sets it right again. */
  skew(offsetMs: number): void {
    const trueMs = this.#options.startWallMs + this.#lapsedMs + this.#scheduler.nowMs
    this.#wallOffsetMs = trueMs + offsetMs - this.monotonicMs() - this.#asleepMs()
  }

  /** Moves the wall clock by `ms`, as a correction by NTP or an operator does. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** `ms` go by in the world at once, of which nothing but wall clocks takes notice. */
  lapse(ms: number): void {
    this.#lapsedMs += ms
    this.#wallOffsetMs += ms
  }

  /** The machine is suspended: its monotonic side stands, its wall side goes on. */
  stand(): void {
    if (this.#stands) return
    this.#baseMs = this.monotonicMs()
    this.#sinceMs = this.#scheduler.nowMs
    this.#stands = true
  }

  /** The machine goes on: timers have as long to run as when it was suspended. */
  go(): void {
    if (!this.#stands) return
    const stoodMs = this.#asleepMs()
    this.#stands = false
    this.#stoodMs += stoodMs
    this.#wallOffsetMs += stoodMs
    this.#sinceMs = this.#scheduler.nowMs
  }

  /** For how long it is suspended by now. */
  #asleepMs(): number {
    return this.#stands ? this.#scheduler.nowMs - this.#sinceMs : 0
  }

  /** Lets both sides gain `ppm` microseconds a second from now on; negative loses. */
  drift(ppm: number): void {
    if (Math.abs(ppm) > MAX_DRIFT_PPM)
      throw wrongRange('ppm', `must be within ${MAX_DRIFT_PPM} of 0, got ${ppm}`)
    if (!this.#stands) {
      this.#baseMs = this.monotonicMs()
      this.#sinceMs = this.#scheduler.nowMs
    }
    this.#rate = 1 + ppm / 1_000_000
  }
}
