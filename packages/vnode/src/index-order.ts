import { AtollError, type KeyId, type Runtime } from '@atoll/core'
import { type Conversion, type ConversionStep, findLeft } from './conversions.ts'
import { BINARY, hasKeys, NOTED, reading } from './database.ts'
import { keyText } from './keys.ts'
import { VnodeLayout } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import type { OwnEntry } from './record-moves.ts'
import type { RecordReader } from './record-reader.ts'
import type { Vnode } from './vnode.ts'

export interface IndexOrderParts {
  readonly runtime: Runtime
  readonly database: Database
  readonly reader: RecordReader
  /** Throws while nothing is served. */
  readonly vnode: (partition: number) => Vnode
  /** Notes that no entry lies elsewhere any more. */
  readonly done: () => Promise<void>
}

/** Entries at a time. */
const CHUNK = 128

/**
 * Index entries that a build before has put into ranges of their partitions are brought into the order of the node: an
 * entry in one batch with its deletion there, in turn with the writes of its record. A partition counts as one with a range
 * of its own until that is empty: scans read it too, and writes delete what they replace there.
 */
export class IndexOrder implements Conversion {
  readonly about = 'index entries are brought into one order'
  isNeeded = false
  /** Partitions of which entries may lie in a range of their own. */
  readonly left = new Set<number>()
  readonly #parts: IndexOrderParts

  constructor(parts: IndexOrderParts) {
    this.#parts = parts
  }

  /** Looks which partitions there are to be brought in order. */
  async load(partitions: number): Promise<void> {
    this.isNeeded = true
    await findLeft(this.left, partitions, (partition) => this.#hasEntries(partition))
  }

  async step(partition: number, after: Uint8Array | undefined): Promise<ConversionStep | undefined> {
    const entries = await this.#entries(partition, after)
    const last = entries.at(-1)
    if (last === undefined) return this.#leave(partition)
    await this.#move(partition, entries)
    this.#parts.runtime.metrics.count('atoll_vnode_reordered_index_entries_total', entries.length)
    return { count: entries.length, last: last.key }
  }

  async done(): Promise<void> {
    await this.#parts.done()
    this.isNeeded = false
  }

  async #leave(partition: number): Promise<undefined> {
    if (await this.#hasEntries(partition))
      throw new AtollError('ATOLL_OVERLOADED', `entries of partition ${partition} are left`)
    this.left.delete(partition)
  }

  #entries(partition: number, after: Uint8Array | undefined): Promise<readonly OwnEntry[]> {
    const { database } = this.#parts
    const { range } = new VnodeLayout(partition).ownIndex
    const gte = after ?? range.gte
    return reading(async () => {
      const iterator = database.iterator({ ...BINARY, ...range, gte })
      try {
        const rows = await iterator.nextv(CHUNK)
        return rows.map(([key, value]) => ({ key: new Uint8Array(key), value: new Uint8Array(value) }))
      } finally {
        await iterator.close()
      }
    })
  }

  async #move(partition: number, entries: readonly OwnEntry[]): Promise<void> {
    const vnode = this.#parts.vnode(partition)
    const { records, unreadable } = byRecord(partition, entries)
    await Promise.all(records.map(({ id, own }) => vnode.moveIndex(id, own)))
    if (unreadable.length === 0) return
    for (const key of unreadable) this.#parts.reader.tellCorruptEntry(key)
    const deletes = unreadable.map((key): Operation => ({ type: 'del', key }))
    await this.#parts.database.batch(deletes, NOTED)
  }

  #hasEntries(partition: number): Promise<boolean> {
    return hasKeys(this.#parts.database, new VnodeLayout(partition).ownIndex.range)
  }
}

interface OwnEntries {
  readonly id: KeyId
  readonly own: OwnEntry[]
}

function byRecord(partition: number, entries: readonly OwnEntry[]) {
  const layout = new VnodeLayout(partition)
  const records = new Map<string, OwnEntries>()
  const unreadable: Uint8Array[] = []
  for (const entry of entries) {
    const id = idOf(layout, entry)
    if (id === undefined) {
      unreadable.push(entry.key)
      continue
    }
    const name = keyText(layout.dataKey(id))
    const record = records.get(name) ?? { id, own: [] }
    records.set(name, record)
    record.own.push(entry)
  }
  return { records: [...records.values()], unreadable }
}

/** Undefined for a key that nobody has written so. */
function idOf(layout: VnodeLayout, { key }: OwnEntry): KeyId | undefined {
  try {
    const { type, position } = layout.ownIndex.parse(key)
    return { type, bucket: position.bucket, key: position.key }
  } catch {
    return undefined
  }
}
