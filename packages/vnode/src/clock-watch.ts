import type { RecordHead } from '@atoll/causality'
import { AtollError, type KeyId, type Runtime, toHex } from '@atoll/core'

/** Entries that a client's write may bring a clock to: with 20 bytes each they fit into the head of a frame. */
export const MAX_CLOCK_ENTRIES = 32_768
/** From so many on it is logged, and again each time that they have doubled. */
const TOLD_FROM = 1000

/**
 * How large clocks get. Each life of a vnode that does not follow on the one before is an actor, and nothing takes its
 * entry out of a clock again: decision 9 says why.
 */
export class ClockWatch {
  readonly #runtime: Pick<Runtime, 'log' | 'metrics'>
  #largest = 0
  #toldFrom = TOLD_FROM

  constructor(runtime: Pick<Runtime, 'log' | 'metrics'>) {
    this.#runtime = runtime
  }

  open(): void {
    this.#largest = 0
    this.#toldFrom = TOLD_FROM
    this.#runtime.metrics.gauge('atoll_vnode_clock_entries', 0)
  }

  /** To be called with every record that is written. */
  saw({ clock: { size } }: RecordHead, id: KeyId): void {
    if (size <= this.#largest) return
    this.#largest = size
    this.#runtime.metrics.gauge('atoll_vnode_clock_entries', size)
    if (size < this.#toldFrom) return
    this.#toldFrom = size * 2
    const facts = { type: id.type, bucket: toHex(id.bucket), key: toHex(id.key), entries: size }
    this.#runtime.log.warn(
      facts,
      `the clock of a record has ${size} entries, one for each life of a vnode that wrote it; ${MAX_CLOCK_ENTRIES} are allowed`,
    )
  }
}

/**
 * Throws `ATOLL_TOO_LARGE`, definite, for a client's write that would make a clock larger than that. A replica whose
 * actor the clock has already takes the write all the same, and what is merged is always stored.
 */
export function checkClock(after: RecordHead, before: RecordHead | undefined): void {
  const { size } = after.clock
  if (size <= MAX_CLOCK_ENTRIES || size <= (before?.clock.size ?? 0)) return
  const message = `the clock of the record would have ${size} entries, and ${MAX_CLOCK_ENTRIES} are allowed`
  throw new AtollError('ATOLL_TOO_LARGE', message, { definite: true })
}
