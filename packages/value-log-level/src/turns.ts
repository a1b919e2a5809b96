import type { ValueLogRuntime } from './ports.ts'

/** How many reads are made in place before others must have had their turn, and for how long. */
const READS_IN_A_TURN = 64
const TURN_MS = 1
/** A read in place that takes longer than this went to a disk. */
const SLOW_MS = 1
/** How many reads are not made in place after a slow one; twice as many after the next, up to the most. */
const FIRST_PAUSE = 64
const LONGEST_PAUSE = 16_384

/**
 * Which reads are made in place. A hop to another thread and back costs several times what it takes to read what is in
 * memory, so they are, within limits: only so often, and for a millisecond with all that their callers do in between,
 * until some other read has come back, so that everyone else has a turn; and for a while not at all after one that had
 * to wait for a disk.
 */
export class Turns {
  readonly #clock: Pick<ValueLogRuntime['clock'], 'monotonicMs'>
  #left = READS_IN_A_TURN
  /** When the turn began, if it has. */
  #sinceMs: number | undefined
  /** When the next read in place begins. */
  #nowMs = 0
  #pause = 0
  #nextPause = FIRST_PAUSE

  constructor(clock: Pick<ValueLogRuntime['clock'], 'monotonicMs'>) {
    this.#clock = clock
  }

  /** Whether the next `reads` are made in place: each then at once by `inPlace`, and otherwise all by `elsewhere`. */
  take(reads: number): boolean {
    if (reads > this.#left) return false
    this.#pause = Math.max(0, this.#pause - reads)
    if (this.#pause > 0) return false
    this.#nowMs = this.#clock.monotonicMs()
    this.#sinceMs ??= this.#nowMs
    if (this.#nowMs - this.#sinceMs > TURN_MS) {
      this.#left = 0
      return false
    }
    this.#left -= reads
    return true
  }

  inPlace<T>(read: () => T): T {
    const startMs = this.#nowMs
    const found = read()
    this.#nowMs = this.#clock.monotonicMs()
    if (this.#nowMs - startMs <= SLOW_MS) this.#nextPause = FIRST_PAUSE
    else {
      this.#pause = this.#nextPause
      this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause)
    }
    return found
  }

  async elsewhere<T>(reading: Promise<T>): Promise<T> {
    const found = await reading
    this.#left = READS_IN_A_TURN
    this.#sinceMs = undefined
    return found
  }
}
