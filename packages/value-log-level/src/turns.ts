import type { ValueLogRuntime } from './ports.ts'

/**
 * How many reads are made in place before others must have had their turn, and for how long: as long as so many take with
 * what their callers do in between. One that waits costs its caller as much as two reads.
 */
const READS_IN_A_TURN = 64
const TURN_MS = 4
/** A read in place that takes longer than this went to a disk. */
const SLOW_MS = 1
/** How many reads are not made in place after a slow one; twice as many after the next, up to the most. */
const FIRST_PAUSE = 64
const LONGEST_PAUSE = 16_384

/** The two ways of some reads: at once, where the caller is, or on another thread. */
export interface Ways<T> {
  readonly reads: number
  readonly inPlace: () => T | Promise<T>
  readonly elsewhere: () => Promise<T>
}

/**
 * Which reads are made in place. A hop to another thread and back costs many times what it takes to read what is in
 * memory, so they are, within limits: only so often, and for four milliseconds with all that their callers do in between.
 * Then those that come wait until everyone else has had a turn, and go on. For a while after one that had to wait for a
 * disk none is made in place, and all go side by side.
 */
export class Turns {
  readonly #clock: Pick<ValueLogRuntime['clock'], 'monotonicMs' | 'timer'>
  #left = READS_IN_A_TURN
  /** When the turn began, if it has. */
  #sinceMs: number | undefined
  /** Those that wait for the next turn, in the order in which they came. */
  #waiting: (() => void)[] = []
  #pause = 0
  #nextPause = FIRST_PAUSE

  constructor(clock: Pick<ValueLogRuntime['clock'], 'monotonicMs' | 'timer'>) {
    this.#clock = clock
  }

  read<T>(ways: Ways<T>): T | Promise<T> {
    const { reads, inPlace, elsewhere } = ways
    if (reads > READS_IN_A_TURN || this.#isPaused(reads)) return elsewhere()
    const startMs = this.take(reads)
    return startMs === undefined ? this.#later(ways) : this.made(startMs, inPlace())
  }

  /**
   * When the reads begin, if they may be made in place at once: then `made` is told of them. Undefined if they have to go
   * by `read`. So nearly all go without an object made for them.
   */
  take(reads: number): number | undefined {
    if (this.#pause > 0) return undefined
    const nowMs = this.#clock.monotonicMs()
    this.#sinceMs ??= this.#begin(nowMs)
    if (reads > this.#left || nowMs - this.#sinceMs > TURN_MS) return undefined
    this.#left -= reads
    return nowMs
  }

  /** What was found by reads in place that began at `startMs`. */
  made<T>(startMs: number, found: T): T {
    if (this.#clock.monotonicMs() - startMs <= SLOW_MS) this.#nextPause = FIRST_PAUSE
    else {
      this.#pause = this.#nextPause
      this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause)
    }
    return found
  }

  #isPaused(reads: number): boolean {
    this.#pause = Math.max(0, this.#pause - reads)
    return this.#pause > 0
  }

  /** A turn ends when the event loop has gone round, and with that everyone else has had one. */
  #begin(nowMs: number): number {
    this.#left = READS_IN_A_TURN
    this.#clock.timer(0, this.#end, { background: true })
    return nowMs
  }

  readonly #end = (): void => {
    this.#sinceMs = undefined
    const waiting = this.#waiting
    this.#waiting = []
    for (const goOn of waiting) goOn()
  }

  /** Whoever comes in the rest of the turn comes behind them: none is left over for long. */
  #later<T>(ways: Ways<T>): Promise<T> {
    this.#left = 0
    return new Promise((resolve, reject) => {
      this.#waiting.push(() => {
        try {
          resolve(this.read(ways))
        } catch (error) {
          reject(error)
        }
      })
    })
  }
}
