import { AtollError, concatBytes, type Runtime } from '@atoll/core'
import { type Conversion, type ConversionStep, findLeft } from './conversions.ts'
import { BINARY, hasKeys, reading } from './database.ts'
import { VnodeLayout } from './layout.ts'
import type { Database } from './ports.ts'
import type { Vnode } from './vnode.ts'

export interface HeadsInSegmentsParts {
  readonly runtime: Runtime
  readonly database: Database
  /** Partitions of which heads may lie where builds before have put them: what is converted is taken out. */
  readonly olderHeads: Set<number>
  /** Throws while nothing is served. */
  readonly vnode: (partition: number) => Vnode
  /** A partition is converted, but for heads that cannot be read. */
  readonly onConverted: () => void
  /** Notes that no head lies elsewhere any more. */
  readonly done: () => Promise<void>
}

/** Records that are looked at, and that are moved together, at a time. */
const CHUNK = 256
const TOGETHER = 16
const ZERO = new Uint8Array(1)

/**
 * Heads that a build before has stored by their names alone are stored by segments, each in turn with other writes of its
 * record. One that stood together with many bytes of values gets those apart as well. Until then they are read where they
 * are. A damaged head moves as it is; one that the database cannot read stays, and its partition counts as one that is not
 * converted until the database is opened again.
 */
export class HeadsInSegments implements Conversion {
  readonly about = 'records are stored by segments'
  isNeeded = false
  readonly #parts: HeadsInSegmentsParts
  readonly #stuck = new Set<number>()
  /** Heads that could not be read, or keys that nobody has written so, in this walk over a partition. */
  #unreadable = 0

  constructor(parts: HeadsInSegmentsParts) {
    this.#parts = parts
  }

  /** Partitions of which heads lie elsewhere, and can be moved as far as anybody knows. */
  get left(): ReadonlySet<number> {
    return new Set([...this.#parts.olderHeads].filter((partition) => this.isLeft(partition)))
  }

  isLeft(partition: number): boolean {
    return this.#parts.olderHeads.has(partition) && !this.#stuck.has(partition)
  }

  /** Looks which partitions there are to be converted. */
  async load(partitions: number): Promise<void> {
    const { database, olderHeads } = this.#parts
    this.isNeeded = true
    this.#stuck.clear()
    await findLeft(olderHeads, partitions, (partition) => {
      return hasKeys(database, new VnodeLayout(partition).olderHeads.range)
    })
  }

  async step(partition: number, after: Uint8Array | undefined): Promise<ConversionStep | undefined> {
    const keys = await this.#keys(partition, after)
    const last = keys.at(-1)
    if (after === undefined) this.#unreadable = 0
    if (last === undefined) return this.#leave(partition)
    const layout = new VnodeLayout(partition)
    const ids = keys.flatMap((key) => layout.idsIn(key))
    this.#unreadable += keys.length - ids.length
    let count = 0
    for (let at = 0; at < ids.length; at += TOGETHER) {
      this.#checkRoom()
      const vnode = this.#parts.vnode(partition)
      const converted = await Promise.all(ids.slice(at, at + TOGETHER).map((id) => vnode.convert(id)))
      count += converted.filter((what) => what === 'moved').length
      this.#unreadable += converted.filter((what) => what === 'unreadable').length
    }
    this.#parts.runtime.metrics.count('atoll_vnode_converted_records_total', count)
    return { count, last }
  }

  async done(): Promise<void> {
    if (this.#stuck.size === 0) await this.#parts.done()
    this.isNeeded = false
  }

  /** Nobody puts anything there any more. */
  async #leave(partition: number): Promise<undefined> {
    const { database, olderHeads, onConverted, runtime } = this.#parts
    if (!(await hasKeys(database, new VnodeLayout(partition).olderHeads.range))) {
      olderHeads.delete(partition)
      onConverted()
      return
    }
    // A write that was to replace one has failed.
    if (this.#unreadable === 0)
      throw new AtollError('ATOLL_OVERLOADED', `records of partition ${partition} are left`)
    this.#stuck.add(partition)
    const facts = { partition, records: this.#unreadable }
    runtime.log.error(facts, 'records that cannot be read stay where a build before has put them')
    onConverted()
  }

  #keys(partition: number, after: Uint8Array | undefined): Promise<readonly Uint8Array[]> {
    const { range } = new VnodeLayout(partition).olderHeads
    const gte = after === undefined ? range.gte : concatBytes([after, ZERO])
    return reading(async () => {
      const iterator = this.#parts.database.keys({ ...BINARY, ...range, gte, limit: CHUNK })
      try {
        return (await iterator.nextv(CHUNK)).map((key) => new Uint8Array(key))
      } finally {
        await iterator.close()
      }
    })
  }

  /** A log takes what is moved, or brought apart, once more until it gives the old place back. */
  #checkRoom(): void {
    if (this.#parts.database.hasRoom?.() !== false) return
    throw new AtollError('ATOLL_DISK_FULL', 'the disk is nearly full', { definite: true, transient: true })
  }
}
