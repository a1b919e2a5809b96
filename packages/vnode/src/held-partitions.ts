import { isAtollError, type Runtime } from '@atoll/core'
import type { Counters } from './counters.ts'
import { hasAnyKeys } from './database.ts'
import type { Holdings } from './holdings.ts'
import type { KeyRange } from './keys.ts'
import type { Database } from './ports.ts'
import type { Vnode } from './vnode.ts'

export interface HeldPartitionsParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly counters: Counters
  readonly holdings: Holdings
  /** Where the heads of a partition lie. */
  readonly rangesOf: (partition: number) => readonly KeyRange[]
  /** Throws while nothing is served. */
  readonly vnode: (partition: number) => Vnode
}

/**
 * Which partitions hold records. The disk knows; the counts save looks where an error costs nothing. Where the two
 * differ while nothing is being written, the counts are wrong, and the partition is counted anew.
 */
export class HeldPartitions {
  readonly #parts: HeldPartitionsParts

  constructor(parts: HeldPartitionsParts) {
    this.#parts = parts
  }

  /** As the disk says. */
  async holds(partition: number): Promise<boolean> {
    const { counters, holdings } = this.#parts
    const found = await holdings.has(partition, () => this.#look(partition))
    if (counters.holds(partition) !== found) await this.#compare(partition)
    return found
  }

  /** As `holds`, but a partition of which records are counted is not looked at: nothing may be left of them. */
  async mayHold(partition: number): Promise<boolean> {
    return this.#parts.counters.holds(partition) || (await this.holds(partition))
  }

  #look(partition: number): Promise<boolean> {
    const { database, rangesOf } = this.#parts
    return hasAnyKeys(database, rangesOf(partition))
  }

  async #compare(partition: number): Promise<void> {
    const { counters, runtime, vnode } = this.#parts
    if (counters.unknown.has(partition)) return
    try {
      const isWrong = await vnode(partition).quietly(async () => {
        const found = await this.#look(partition)
        return !counters.unknown.has(partition) && counters.holds(partition) !== found
      })
      if (isWrong !== true) return
      runtime.probe.mark('vnode.counts-contradicted')
      runtime.log.error({ partition }, 'the counts of a vnode were wrong: its records are counted anew')
      await vnode(partition).forgetCounts()
    } catch (error) {
      // What was asked is known. The next one who asks compares again.
      if (!isAtollError(error)) throw error
    }
  }
}
