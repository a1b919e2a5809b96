import { BYTES, type InnerLevel, type ValueLogRuntime } from './ports.ts'

/** How many reads are made in place before others must have had their turn. */
const READS_IN_A_TURN = 64
/** A read in place that takes longer than this went to a disk. */
const SLOW_MS = 1
/** How many reads are not made in place after a slow one; twice as many after the next, up to the most. */
const FIRST_PAUSE = 64
const LONGEST_PAUSE = 16_384

type Found = Uint8Array | undefined

/**
 * Reads of the inner database. A hop to another thread and back costs several times what LevelDB takes to find a key
 * that is in memory, so where the inner database has `getSync`, it is used, within limits: only so often until some other
 * read has come back, so that everyone else has a turn; and for a while not at all after one that had to wait for a disk.
 */
export class InnerReads {
  readonly #inner: InnerLevel
  readonly #clock: Pick<ValueLogRuntime['clock'], 'monotonicMs'>
  readonly #canReadInPlace: boolean
  #left = READS_IN_A_TURN
  #pause = 0
  #nextPause = FIRST_PAUSE

  constructor(inner: InnerLevel, clock: Pick<ValueLogRuntime['clock'], 'monotonicMs'>) {
    this.#inner = inner
    this.#clock = clock
    this.#canReadInPlace = inner.supports.getSync === true && inner.getSync !== undefined
  }

  get(key: Uint8Array): Found | Promise<Found> {
    return this.#mayReadInPlace(1) ? this.#inPlace(key) : this.#elsewhere(this.#inner.get(key, BYTES))
  }

  getMany(keys: Uint8Array[]): Found[] | Promise<Found[]> {
    if (this.#mayReadInPlace(keys.length)) return keys.map((key) => this.#inPlace(key))
    return this.#elsewhere(this.#inner.getMany(keys, BYTES))
  }

  #mayReadInPlace(reads: number): boolean {
    if (!this.#canReadInPlace || reads > this.#left) return false
    this.#pause = Math.max(0, this.#pause - reads)
    if (this.#pause > 0) return false
    this.#left -= reads
    return true
  }

  #inPlace(key: Uint8Array): Found {
    const startMs = this.#clock.monotonicMs()
    const found = this.#inner.getSync?.(key, BYTES)
    if (this.#clock.monotonicMs() - startMs <= SLOW_MS) this.#nextPause = FIRST_PAUSE
    else {
      this.#pause = this.#nextPause
      this.#nextPause = Math.min(LONGEST_PAUSE, 2 * this.#nextPause)
    }
    return found
  }

  async #elsewhere<T>(reading: Promise<T>): Promise<T> {
    const found = await reading
    this.#left = READS_IN_A_TURN
    return found
  }
}
