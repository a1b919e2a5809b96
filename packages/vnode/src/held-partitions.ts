import { isAtollError, type Runtime } from '@atoll/core'
import type { Counters } from './counters.ts'
import { hasAnyKeys } from './database.ts'
import { countKeys } from './fold.ts'
import type { Holdings } from './holdings.ts'
import type { KeyRange } from './keys.ts'
import { VnodeLayout } from './layout.ts'
import type { Database } from './ports.ts'
import type { Vnode } from './vnode.ts'

export interface HeldPartitionsParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly counters: Counters
  readonly holdings: Holdings
  /** Partitions of which heads may lie where builds before have put them. */
  readonly olderHeads: ReadonlySet<number>
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

  /**
   * Those that hold records of so many partitions, ascending. One of which records are counted is not looked at: nothing may
   * be left of them.
   */
  async among(partitions: number): Promise<number[]> {
    const held: number[] = []
    for (let partition = 0; partition < partitions; partition++) {
      const isCounted = this.#parts.counters.holds(partition)
      if (isCounted || (await this.holds(new VnodeLayout(partition)))) held.push(partition)
    }
    return held
  }

  /** As the disk says. */
  async holds(layout: VnodeLayout): Promise<boolean> {
    const { counters, holdings } = this.#parts
    const { partition } = layout
    const found = await holdings.has(partition, () => this.#look(layout))
    if (counters.holds(partition) !== found) await this.#compare(layout)
    return found
  }

  /** Whether there are records of a bucket type, as the disk says. */
  holdsType(layout: VnodeLayout, type: string): Promise<boolean> {
    return hasAnyKeys(this.#parts.database, this.#rangesOf(layout, type))
  }

  /** Reads all keys. */
  count(layout: VnodeLayout): Promise<number> {
    return countKeys(this.#parts.database, this.#rangesOf(layout))
  }

  #look(layout: VnodeLayout): Promise<boolean> {
    return hasAnyKeys(this.#parts.database, this.#rangesOf(layout))
  }

  #rangesOf(layout: VnodeLayout, type?: string): readonly KeyRange[] {
    const hasOlder = this.#parts.olderHeads.has(layout.partition)
    return layout.rangesAfter(undefined, { hasOlder, type })
  }

  async #compare(layout: VnodeLayout): Promise<void> {
    const { partition } = layout
    const { counters, runtime, vnode } = this.#parts
    if (counters.unknown.has(partition)) return
    try {
      const isWrong = await vnode(partition).quietly(async () => {
        const found = await this.#look(layout)
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
