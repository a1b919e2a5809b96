import type { Runtime } from '@atoll/core'
import { BodiesApart } from './bodies-apart.ts'
import { Conversions } from './conversions.ts'
import type { FormatState } from './database.ts'
import { IndexOrder } from './index-order.ts'
import type { Database } from './ports.ts'
import type { RecordReader } from './record-reader.ts'
import type { Vnode } from './vnode.ts'

export interface OlderFormatsParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly reader: RecordReader
  /** Values of more bytes lie apart from their head. */
  readonly inlineBytes: number
  /** Throws while nothing is served. */
  readonly vnode: (partition: number) => Vnode
  /** Notes durably what is done. */
  readonly note: (change: Partial<FormatState>) => Promise<void>
}

/** What builds before have written otherwise than this one, and is converted while the node serves. */
export class OlderFormats {
  readonly #indexes: IndexOrder
  readonly #bodies: BodiesApart
  readonly #conversions: Conversions

  constructor(parts: OlderFormatsParts) {
    const { note } = parts
    this.#indexes = new IndexOrder({ ...parts, done: () => note({ indexesInOrder: true }) })
    this.#bodies = new BodiesApart({ ...parts, done: () => note({ valuesApart: true }) })
    this.#conversions = new Conversions(parts.runtime, [this.#indexes, this.#bodies])
  }

  /** Partitions of which index entries may lie in a range of their own. */
  get ownIndexes(): ReadonlySet<number> {
    return this.#indexes.left
  }

  /** Looks what there is to be converted. */
  async load({ indexesInOrder, valuesApart }: FormatState, partitions: number): Promise<void> {
    if (!indexesInOrder) await this.#indexes.load(partitions)
    if (!valuesApart) await this.#bodies.load(partitions)
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
