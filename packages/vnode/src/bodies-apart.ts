import { AtollError, concatBytes, type Runtime } from '@atoll/core'
import type { Conversion, ConversionStep } from './conversions.ts'
import { BINARY, hasKeys, reading } from './database.ts'
import { isHeavy } from './envelope.ts'
import { VnodeLayout } from './layout.ts'
import type { Database } from './ports.ts'
import type { Vnode } from './vnode.ts'

export interface BodiesApartParts {
  readonly runtime: Runtime
  readonly database: Database
  /** Values of more bytes lie apart from their head. */
  readonly inlineBytes: number
  /** Throws while nothing is served. */
  readonly vnode: (partition: number) => Vnode
  /** Notes that no values lie with their head that should not. */
  readonly done: () => Promise<void>
}

/** Records that are looked at, and of those that are brought apart together, at a time. */
const CHUNK = 256
const TOGETHER = 16
const READ = { ...BINARY, highWaterMarkBytes: 1024 * 1024 }
const ZERO = new Uint8Array(1)

/**
 * Records of which a build before has stored many bytes of values with their head get them apart, in turn with other writes
 * of theirs. Until then they are read as they are. A damaged one stays so until it is replaced.
 */
export class BodiesApart implements Conversion {
  readonly about = 'large values are stored apart from the heads of their records'
  isNeeded = false
  readonly left = new Set<number>()
  readonly #parts: BodiesApartParts

  constructor(parts: BodiesApartParts) {
    this.#parts = parts
  }

  /** Looks which partitions hold records. */
  async load(partitions: number): Promise<void> {
    this.isNeeded = true
    this.left.clear()
    for (let partition = 0; partition < partitions; partition++)
      if (await hasKeys(this.#parts.database, new VnodeLayout(partition).dataRange)) this.left.add(partition)
  }

  async step(partition: number, after: Uint8Array | undefined): Promise<ConversionStep | undefined> {
    const { last, heavy } = await this.#look(partition, after)
    if (last === undefined) {
      this.left.delete(partition)
      return undefined
    }
    const layout = new VnodeLayout(partition)
    let count = 0
    for (let at = 0; at < heavy.length; at += TOGETHER) {
      this.#checkRoom()
      const vnode = this.#parts.vnode(partition)
      const some = heavy.slice(at, at + TOGETHER)
      const brought = await Promise.all(some.map((key) => vnode.bringApart(layout.idOf(key))))
      count += brought.filter((isBrought) => isBrought).length
    }
    this.#parts.runtime.metrics.count('atoll_vnode_converted_records_total', count)
    return { count, last }
  }

  async done(): Promise<void> {
    await this.#parts.done()
    this.isNeeded = false
  }

  #look(partition: number, after: Uint8Array | undefined) {
    const { database, inlineBytes } = this.#parts
    const { dataRange } = new VnodeLayout(partition)
    const gte = after === undefined ? dataRange.gte : concatBytes([after, ZERO])
    return reading(async () => {
      const iterator = database.iterator({ ...READ, ...dataRange, gte })
      try {
        const rows = await iterator.nextv(CHUNK)
        const last = rows.at(-1)?.[0]
        const heavy = rows
          .filter(([, bytes]) => isHeavy(bytes, inlineBytes))
          .map(([key]) => new Uint8Array(key))
        return { last: last && new Uint8Array(last), heavy }
      } finally {
        await iterator.close()
      }
    })
  }

  /** What is brought apart takes its room twice until a value log gives the old place back. */
  #checkRoom(): void {
    if (this.#parts.database.hasRoom?.() !== false) return
    throw new AtollError('ATOLL_DISK_FULL', 'the disk is nearly full', { definite: true, transient: true })
  }
}
