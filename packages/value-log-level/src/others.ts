import type { Log } from './log.ts'
import type { ValueLogRuntime } from './ports.ts'
import type { Readers } from './readers.ts'

type Clock = Pick<ValueLogRuntime['clock'], 'monotonicMs'>

/** How long after somebody has waited for the disk the next one is expected. */
const EXPECTED_MS = 500

/**
 * Whether others use the disk beside the work in the background. Not only at the moment: who comes every 10 ms mostly
 * waits for nothing, and still finds what was written meanwhile in front of its sync.
 */
export class Others {
  readonly #clock: Clock
  readonly #log: Pick<Log, 'waiters' | 'isAwaited'>
  readonly #readers: Pick<Readers, 'others'>
  #seen: number
  #expectedUntilMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, log: Pick<Log, 'waiters' | 'isAwaited'>, readers: Pick<Readers, 'others'>) {
    this.#clock = clock
    this.#log = log
    this.#readers = readers
    this.#seen = this.#count()
  }

  /** True while somebody waits for the disk, and for half a second after it was last looked and somebody had. */
  areBusy(): boolean {
    const nowMs = this.#clock.monotonicMs()
    const count = this.#count()
    if (count !== this.#seen) this.#expectedUntilMs = nowMs + EXPECTED_MS
    this.#seen = count
    return nowMs < this.#expectedUntilMs || this.#log.isAwaited
  }

  #count(): number {
    return this.#log.waiters + this.#readers.others
  }
}
