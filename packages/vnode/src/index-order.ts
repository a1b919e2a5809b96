import { AtollError, type KeyId, type Runtime } from '@atoll/core'
import { BINARY, hasKeys, NOTED, reading } from './database.ts'
import { keyText } from './keys.ts'
import { VnodeLayout } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import type { RecordReader } from './record-reader.ts'
import type { OwnEntry } from './record-writer.ts'
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
/** After a chunk nothing is done for as long as it took, and for this long at least: others want the disk as well. */
const LEAST_PAUSE_MS = 5
/** After a failure. */
const RETRY_MS = 5000

/**
 * Index entries that a build before has put into ranges of their partitions are brought into the order of the node, while
 * that serves: a partition after the other, an entry in one batch with its deletion there, in turn with the writes of its
 * record. A partition counts as one with a range of its own until that is empty: scans read it too, and writes delete what
 * they replace there. So it goes on wherever it was interrupted.
 */
export class IndexOrder {
  /** Partitions of which entries may lie in a range of their own. */
  readonly own = new Set<number>()
  readonly #parts: IndexOrderParts
  #stop = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(parts: IndexOrderParts) {
    this.#parts = parts
  }

  /** Looks which partitions there are to be brought in order. */
  async load(partitions: number): Promise<void> {
    this.own.clear()
    for (let partition = 0; partition < partitions; partition++)
      if (await this.#hasEntries(partition)) this.own.add(partition)
  }

  /** Begins with what was loaded. */
  start(): void {
    this.#stop = new AbortController()
    this.#running = this.#run(this.#stop.signal)
  }

  /** Resolves when everything is in order, or when it was stopped. */
  get settled(): Promise<void> {
    return this.#running
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.#parts.runtime
    const partitions = this.own.size
    const startMs = clock.monotonicMs()
    const said = 'index entries are brought into one order, while the node serves'
    if (partitions > 0) log.info({ partitions }, said)
    let entries = 0
    while (!signal.aborted) {
      try {
        for (const partition of this.own) entries += await this.#bring(partition, signal)
        await this.#parts.done()
        const tookMs = Math.round(clock.monotonicMs() - startMs)
        if (partitions > 0) log.info({ partitions, entries, tookMs }, 'the index entries are in one order')
        return
      } catch (error) {
        if (signal.aborted) return
        log.warn({ err: error, partitions: this.own.size }, 'bringing index entries in order goes on later')
        await clock.sleep(RETRY_MS, { signal }).catch(() => {})
      }
    }
  }

  async #bring(partition: number, signal: AbortSignal): Promise<number> {
    const { clock, metrics } = this.#parts.runtime
    let count = 0
    let after: Uint8Array | undefined
    for (;;) {
      signal.throwIfAborted()
      const startMs = clock.monotonicMs()
      const entries = await this.#entries(partition, after)
      const last = entries.at(-1)
      if (last === undefined) break
      await this.#move(partition, entries)
      after = last.key
      count += entries.length
      metrics.count('atoll_vnode_reordered_index_entries_total', entries.length)
      await clock.sleep(Math.max(LEAST_PAUSE_MS, clock.monotonicMs() - startMs), { signal })
    }
    if (await this.#hasEntries(partition))
      throw new AtollError('ATOLL_OVERLOADED', `entries of partition ${partition} are left`)
    this.own.delete(partition)
    return count
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
