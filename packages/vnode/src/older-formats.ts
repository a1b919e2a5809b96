import type { Runtime } from '@atoll/core'
import { Conversions } from './conversions.ts'
import type { FormatState } from './database.ts'
import { HeadsInSegments } from './heads-in-segments.ts'
import { IndexOrder } from './index-order.ts'
import type { Database } from './ports.ts'
import type { RecordReader } from './record-reader.ts'
import type { Vnode } from './vnode.ts'

export interface OlderFormatsParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly reader: RecordReader
  /** Partitions of which heads may lie where builds before have put them. */
  readonly olderHeads: Set<number>
  /** Throws while nothing is served. */
  readonly vnode: (partition: number) => Vnode
  /** Notes durably what is done. */
  readonly note: (change: Partial<FormatState>) => Promise<void>
  /** The records of a partition are all where this build puts them, but for those that cannot be read. */
  readonly onConverted: () => void
}

/** What builds before have written otherwise than this one, and is converted while the node serves. */
export class OlderFormats {
  readonly #olderHeads: ReadonlySet<number>
  readonly #indexes: IndexOrder
  readonly #heads: HeadsInSegments
  readonly #conversions: Conversions

  constructor(parts: OlderFormatsParts) {
    const { note, olderHeads } = parts
    this.#olderHeads = olderHeads
    this.#indexes = new IndexOrder({ ...parts, done: () => note({ indexesInOrder: true }) })
    this.#heads = new HeadsInSegments({ ...parts, done: () => note({ headsInSegments: true }) })
    this.#conversions = new Conversions(parts.runtime, [this.#indexes, this.#heads])
  }

  /** Partitions of which index entries may lie in a range of their own. */
  get ownIndexes(): ReadonlySet<number> {
    return this.#indexes.left
  }

  /** Whether heads of a partition may lie where builds before have put them. */
  mayHaveHeads(partition: number): boolean {
    return this.#olderHeads.has(partition)
  }

  /** Whether heads of a partition are still to be moved to where this build puts them. */
  isConverting(partition: number): boolean {
    return this.#heads.isLeft(partition)
  }

  /** Looks what there is to be converted. */
  async load({ indexesInOrder, headsInSegments }: FormatState, partitions: number): Promise<void> {
    if (!indexesInOrder) await this.#indexes.load(partitions)
    if (!headsInSegments) await this.#heads.load(partitions)
  }

  /** Begins with what was loaded. */
  start(): void {
    this.#conversions.start()
  }

  /** Resolves when everything is converted, or when it was stopped. */
  get settled(): Promise<void> {
    return this.#conversions.settled
  }

  stop(): Promise<void> {
    return this.#conversions.stop()
  }
}
