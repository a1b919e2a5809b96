import { AtollError, type Clock, type Timer } from '@atoll/core'

interface Waiter {
  readonly sinceMs: number
  /** What was left of it then. */
  readonly patienceMs: number
  /** How long it had waited for something else before. */
  readonly beforeMs: number
  /** How many had gone in from the line when it came. */
  readonly enteredBefore: number
  readonly enter: () => void
  readonly refuse: (error: AtollError) => void
}

/** Who may wait; one more is refused. */
const MAX_WAITING = 10_000
/** How often a waiter is looked at while its patience lasts. */
const LOOKS = 4
/** By how much the wait may seem too long before half of it is over: those who went in first may have been slow. */
const EARLY_MARGIN = 2

/**
 * Tasks of which a fixed number runs at the same time, in the order of arrival: the first is answered before the last has
 * begun. Who would not go in before its patience is over, as the line has moved since it came, is refused early: after a
 * quarter of its patience if it would have to wait for twice that, after half of it if it would have to wait for longer
 * at all, and when nobody has gone in for half of it.
 */
export class Line {
  readonly #clock: Clock
  #free: number
  #waiting: Waiter[] = []
  /** How many have gone in from the line, and when the last of them did. */
  #entered = 0
  #enteredMs = 0
  #timer: { readonly timer: Timer; readonly dueMs: number } | undefined

  constructor(clock: Clock, places: number) {
    this.#clock = clock
    this.#free = places
  }

  /**
   * Throws `ATOLL_OVERLOADED`, definite, without having begun the task, if its turn comes too late or too many wait. Who
   * has waited for something else before has done so since `sinceMs`, by the monotonic clock, and that counts.
   */
  async run<T>(patienceMs: number, task: () => Promise<T>, sinceMs?: number): Promise<T> {
    const beforeMs = sinceMs === undefined ? 0 : this.#clock.monotonicMs() - sinceMs
    if (beforeMs > 0 && beforeMs >= patienceMs) throw waitedTooLong(beforeMs, patienceMs)
    if (this.#free > 0) this.#free -= 1
    else await this.#wait(patienceMs - beforeMs, beforeMs)
    try {
      return await task()
    } finally {
      this.#leave()
    }
  }

  #wait(patienceMs: number, beforeMs: number): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING)
      throw new AtollError('ATOLL_OVERLOADED', `${MAX_WAITING} requests wait for their turn already`)
    return new Promise((enter, refuse) => {
      const sinceMs = this.#clock.monotonicMs()
      const waiter = { sinceMs, patienceMs, beforeMs, enteredBefore: this.#entered, enter, refuse }
      this.#waiting.push(waiter)
      this.#watch(dueOf(waiter, sinceMs))
    })
  }

  #leave(): void {
    const next = this.#next()
    if (next === undefined) this.#free += 1
    else {
      this.#entered += 1
      this.#enteredMs = this.#clock.monotonicMs()
      next.enter()
    }
    if (this.#waiting.length === 0) this.#stopWatching()
  }

  /** The first whose patience is not over: a process that stood still may be late with its timers. */
  #next(): Waiter | undefined {
    const nowMs = this.#clock.monotonicMs()
    for (;;) {
      const waiter = this.#waiting.shift()
      if (waiter === undefined || nowMs - waiter.sinceMs < waiter.patienceMs) return waiter
      waiter.refuse(tooLong(waiter, nowMs))
    }
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs()
    const before = this.#waiting
    this.#waiting = []
    this.#timer = undefined
    let dueMs = Number.POSITIVE_INFINITY
    for (const waiter of before) {
      if (this.#isHopeless(waiter, nowMs)) {
        waiter.refuse(tooLong(waiter, nowMs))
        continue
      }
      this.#waiting.push(waiter)
      dueMs = Math.min(dueMs, dueOf(waiter, nowMs))
    }
    if (this.#waiting.length > 0) this.#watch(dueMs)
  }

  /**
   * Those who stay before it are in `#waiting` by now. Many go in at the same time, and then none for a while: so the
   * line is as fast as it was when somebody went in last, unless that is long ago.
   */
  #isHopeless({ sinceMs, patienceMs, enteredBefore }: Waiter, nowMs: number): boolean {
    const waitedMs = nowMs - sinceMs
    const lookMs = patienceMs / LOOKS
    if (waitedMs >= patienceMs) return true
    if (waitedMs < lookMs) return false
    const stillMs = nowMs - Math.max(sinceMs, this.#enteredMs)
    if (stillMs >= patienceMs / 2) return true
    const entered = this.#entered - enteredBefore
    // Nothing can be said of a line that has not moved yet.
    if (entered === 0) return false
    const takenMs = stillMs > lookMs ? waitedMs : this.#enteredMs - sinceMs
    const wholeMs = (takenMs * (entered + this.#waiting.length + 1)) / entered
    const isEarly = waitedMs < patienceMs / 2
    return wholeMs > (isEarly ? EARLY_MARGIN : 1) * patienceMs
  }

  #watch(dueMs: number): void {
    if (this.#timer !== undefined) {
      if (this.#timer.dueMs <= dueMs) return
      this.#timer.timer.cancel()
    }
    const leftMs = Math.max(1, Math.ceil(dueMs - this.#clock.monotonicMs()))
    this.#timer = { timer: this.#clock.timer(leftMs, () => this.#look()), dueMs }
  }

  #stopWatching(): void {
    this.#timer?.timer.cancel()
    this.#timer = undefined
  }
}

/** When a waiter is looked at next. */
function dueOf({ sinceMs, patienceMs }: Waiter, nowMs: number): number {
  const stepMs = patienceMs / LOOKS
  return sinceMs + stepMs * (Math.floor((nowMs - sinceMs) / stepMs) + 1)
}

function tooLong({ sinceMs, patienceMs, beforeMs }: Waiter, nowMs: number): AtollError {
  return waitedTooLong(beforeMs + nowMs - sinceMs, beforeMs + patienceMs)
}

/** The error of who has waited for others for so long, or would have to wait for longer than it may. */
export function waitedTooLong(forMs: number, patienceMs: number): AtollError {
  const waitedMs = Math.round(forMs)
  const message =
    waitedMs >= patienceMs
      ? `the request has waited for ${waitedMs} ms for others, and may for ${patienceMs} ms`
      : `the request has waited for ${waitedMs} ms for others, and its turn would come later than ${patienceMs} ms`
  return new AtollError('ATOLL_OVERLOADED', message, { details: { waitedMs, patienceMs } })
}
