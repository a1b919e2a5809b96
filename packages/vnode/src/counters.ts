import { type Runtime, storageFailure } from '@atoll/core'
import {
  COUNT_RANGE,
  type CountPage,
  type CountPut,
  type CountRow,
  keptRow,
  pageRow,
  readCountRow,
  SLIPS,
  slipRow,
  type TypeCounts,
} from './count-rows.ts'
import { type CountStep, type Counts, NO_COUNTS } from './counts.ts'
import { BINARY, hasAnyKeys, NOTED, reading } from './database.ts'
import { VnodeLayout } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import type { Recount } from './recount.ts'

export interface CountersParts {
  readonly runtime: Runtime
  readonly database: Database
  /** Called when there is a vnode of which nobody knows the counts. */
  readonly onUnknown: () => void
}

/** What is stored, summed up over vnodes. */
export interface StoredCounts extends Counts {
  /** Bucket types of which there are records, by name. */
  readonly types: ReadonlyMap<string, Counts>
  /** Partitions that are still being counted: what they hold is not in the sums. */
  readonly counting: number
}

type Tally = { -readonly [Name in keyof Counts]: Counts[Name] }
type TypeTally = Tally & Pick<TypeCounts, 'partition' | 'type'>
type Adding = Extract<CountStep, { kind: 'add' }>

/** After so many slips the pages are written: each is on its page before its place in the ring is needed again. */
const PAGES_EVERY = SLIPS / 2
const CHUNK = 1000
/** Of a database that knows it: with its own default, of some KiB, there would be a hundred reads. */
const LARGE_READS = { highWaterMarkBytes: 1024 * 1024 }

/**
 * How many records there are in each vnode, of each bucket type, how many bytes and tombstones: kept in memory, and
 * written in the batch of the records that they speak of. Steps are queued when a write is decided, and taken in the order
 * of batches, when one is put together; what is known here is as of the last batch that was put together. After a failed
 * one it is read from the disk again.
 */
export class Counters {
  readonly #parts: CountersParts
  /** By partition and bucket type; what is not here has no records. */
  readonly #known = new Map<number, Map<string, TypeTally>>()
  readonly #unknown = new Set<number>()
  /** Partitions of which something has changed since their page. */
  readonly #unpaged = new Set<number>()
  readonly #recounts = new Map<number, Recount>()
  readonly #total: Tally = { ...NO_COUNTS }
  #sequence = 0
  #pagedAt = 0
  /** The most bytes of any row: of what another one may replace. */
  #mostBytes = 0

  constructor(parts: CountersParts) {
    this.#parts = parts
  }

  /** Reads what is on the disk, of so many partitions. What was written by a build that kept no counts is not known. */
  async load(partitions: number): Promise<void> {
    const rows = await this.#rows()
    if (!rows.some(({ kind }) => kind === 'kept') || rows.some(({ kind }) => kind === 'lost'))
      await this.#begin(partitions, rows)
    else {
      this.clear()
      for (const row of rows) this.#readPage(row)
      this.#readSlips(rows)
    }
    // Whatever the slips say is put on pages by the next batch.
    this.#pagedAt = this.#sequence - PAGES_EVERY
    this.#tell()
  }

  /** By bucket type; undefined while nobody knows. */
  of(partition: number): ReadonlyMap<string, Counts> | undefined {
    if (this.#unknown.has(partition)) return undefined
    const tallies = this.#known.get(partition)
    if (tallies === undefined) return NOTHING
    return new Map(Array.from(tallies, ([type, tally]) => [type, plainOf(tally)]))
  }

  /** Partitions of which nobody knows the counts. */
  get unknown(): ReadonlySet<number> {
    return this.#unknown
  }

  sum(): StoredCounts {
    const types = new Map<string, Tally>()
    for (const [partition, tallies] of this.#known) {
      if (this.#unknown.has(partition)) continue
      for (const [type, tally] of tallies) add(typeOf(types, type), tally)
    }
    return { ...this.#total, types, counting: this.#unknown.size }
  }

  /** While a vnode is counted, it is told what is decided meanwhile. */
  watch(partition: number, recount: Recount): void {
    this.#recounts.set(partition, recount)
  }

  /** False if the count is worth nothing, since something happened that it does not know. */
  isWatching(partition: number, recount: Recount): boolean {
    return this.#recounts.get(partition) === recount
  }

  unwatch(partition: number, recount: Recount): void {
    if (this.isWatching(partition, recount)) this.#recounts.delete(partition)
  }

  /** To be called when steps are queued, in that order. */
  queued(steps: readonly CountStep[]): void {
    if (this.#recounts.size === 0) return
    for (const step of steps) {
      if (step.kind === 'add') this.#recounts.get(step.partition)?.saw(step)
      else if (step.kind === 'forget') this.#recounts.delete(step.partition)
    }
  }

  /** To be called when a batch is put together, with all of its steps: what it has to write of them. */
  take(steps: readonly CountStep[]): readonly Operation[] {
    if (steps.length === 0) return NO_OPERATIONS
    this.#sequence += 1
    const changed = new Set<TypeTally>()
    const paged = new Set<number>()
    for (const step of steps) {
      if (step.kind === 'add' && this.#add(step, changed)) continue
      if (step.kind === 'set') this.#set(step.partition, step.counts)
      else this.#forget(step.partition)
      paged.add(step.partition)
    }
    const { crc32 } = this.#parts.runtime.digest
    const operations = this.#pages(paged)
    if (changed.size > 0) operations.push(slipRow({ sequence: this.#sequence, changed }, crc32))
    this.#tell()
    return this.#told(operations)
  }

  /** With what they may replace: a value log knows by it what is dead. */
  #told(rows: readonly CountPut[]): readonly Operation[] {
    const replacesBytes = this.#mostBytes
    for (const { value } of rows) this.#mostBytes = Math.max(this.#mostBytes, value.length)
    return rows.map((row) => ({ ...row, replacesBytes }))
  }

  /** Nothing that is being counted is worth anything: vnodes become others, or what was decided is not written. */
  abandonRecounts(): void {
    this.#recounts.clear()
  }

  clear(): void {
    this.#known.clear()
    this.#unknown.clear()
    this.#unpaged.clear()
    this.#recounts.clear()
    Object.assign(this.#total, NO_COUNTS)
    this.#sequence = 0
  }

  /** False if the counts cannot be right, by which they are forgotten. */
  #add(step: Adding, changed: Set<TypeTally>): boolean {
    const { partition, type } = step
    if (this.#unknown.has(partition)) return true
    const tally = this.#tallyOf(partition, type)
    add(tally, step)
    add(this.#total, step)
    this.#unpaged.add(partition)
    changed.add(tally)
    if (tally.records >= 0 && tally.bytes >= 0 && tally.tombstones >= 0) return true
    changed.delete(tally)
    const { log, probe } = this.#parts.runtime
    probe.mark('vnode.counts-below-zero')
    log.error({ ...tally }, 'the counts of a vnode were wrong: its records are counted anew')
    return false
  }

  #tallyOf(partition: number, type: string): TypeTally {
    let tallies = this.#known.get(partition)
    if (tallies === undefined) {
      tallies = new Map()
      this.#known.set(partition, tallies)
    }
    let tally = tallies.get(type)
    if (tally === undefined) {
      tally = { partition, type, ...NO_COUNTS }
      tallies.set(type, tally)
    }
    return tally
  }

  #forget(partition: number): void {
    for (const tally of this.#known.get(partition)?.values() ?? []) subtract(this.#total, tally)
    this.#known.delete(partition)
    this.#unknown.add(partition)
    this.#parts.onUnknown()
  }

  #set(partition: number, counts: ReadonlyMap<string, Counts>): void {
    for (const tally of this.#known.get(partition)?.values() ?? []) subtract(this.#total, tally)
    this.#known.delete(partition)
    this.#unknown.delete(partition)
    for (const [type, tally] of counts) {
      add(this.#tallyOf(partition, type), tally)
      add(this.#total, tally)
    }
  }

  /** Pages of the partitions that must have one with this batch, and of all that have changed if it is time. */
  #pages(paged: Set<number>): CountPut[] {
    if (this.#sequence - this.#pagedAt >= PAGES_EVERY) {
      for (const partition of this.#unpaged) paged.add(partition)
      this.#pagedAt = this.#sequence
    }
    return Array.from(paged, (partition) => this.#page(partition))
  }

  #page(partition: number): CountPut {
    this.#unpaged.delete(partition)
    const tallies = this.#known.get(partition)
    // A bucket type of which nothing is left is forgotten.
    for (const [type, { records }] of tallies ?? []) if (records === 0) tallies?.delete(type)
    const page: CountPage = { partition, sequence: this.#sequence, counts: this.of(partition) }
    return pageRow(page, this.#parts.runtime.digest.crc32)
  }

  async #rows(): Promise<readonly CountRow[]> {
    const { database, runtime } = this.#parts
    const rows: CountRow[] = []
    await reading(async () => {
      const iterator = database.iterator({ ...BINARY, ...COUNT_RANGE, ...LARGE_READS })
      try {
        for (;;) {
          const some = await iterator.nextv(CHUNK)
          if (some.length === 0) return
          for (const [key, value] of some) {
            this.#mostBytes = Math.max(this.#mostBytes, value.length)
            rows.push(readCountRow(new Uint8Array(key), value, runtime.digest.crc32))
          }
        }
      } finally {
        await iterator.close()
      }
    })
    const damaged = rows.filter(({ kind }) => kind === 'lost' || kind === 'lost page').length
    if (damaged > 0) runtime.metrics.count('atoll_vnode_corrupt_notes_total', damaged)
    return rows
  }

  #readPage(row: CountRow): void {
    if (row.kind === 'lost page') this.#forget(row.partition)
    if (row.kind !== 'page') return
    const { partition, sequence, counts } = row.page
    this.#sequence = Math.max(this.#sequence, sequence)
    if (counts === undefined) this.#forget(partition)
    else this.#set(partition, counts)
  }

  #readSlips(rows: readonly CountRow[]): void {
    const pagedAt = new Map<number, number>()
    for (const row of rows) if (row.kind === 'page') pagedAt.set(row.page.partition, row.page.sequence)
    const slips = rows.flatMap((row) => (row.kind === 'slip' ? [row.slip] : []))
    for (const { sequence, changed } of slips.sort((a, b) => a.sequence - b.sequence)) {
      this.#sequence = Math.max(this.#sequence, sequence)
      for (const { partition, type, ...counts } of changed) {
        if (this.#unknown.has(partition) || sequence <= (pagedAt.get(partition) ?? 0)) continue
        const tally = this.#tallyOf(partition, type)
        subtract(this.#total, tally)
        add(this.#total, Object.assign(tally, counts))
        this.#unpaged.add(partition)
      }
    }
  }

  /** Nothing that was counted before is believed. */
  async #begin(partitions: number, rows: readonly CountRow[]): Promise<void> {
    const { database, runtime } = this.#parts
    const { crc32 } = runtime.digest
    const held: number[] = []
    for (let partition = 0; partition < partitions; partition++) {
      const ranges = new VnodeLayout(partition).rangesAfter(undefined, { hasOlder: true })
      if (await hasAnyKeys(database, ranges)) held.push(partition)
    }
    this.clear()
    for (const partition of held) this.#forget(partition)
    const old = rows.flatMap((row): Operation[] =>
      row.kind === 'kept' ? [] : [{ type: 'del', key: row.key, replacesBytes: this.#mostBytes }],
    )
    const fresh = this.#told([...held.map((partition) => this.#page(partition)), keptRow(crc32)])
    const operations = [...old, ...fresh]
    try {
      await database.batch(operations, NOTED)
    } catch (cause) {
      throw storageFailure('the database cannot be written', cause)
    }
  }

  #tell(): void {
    const { metrics } = this.#parts.runtime
    metrics.gauge('atoll_vnode_records', this.#total.records)
    metrics.gauge('atoll_vnode_record_bytes', this.#total.bytes)
    metrics.gauge('atoll_vnode_tombstones', this.#total.tombstones)
    metrics.gauge('atoll_vnode_counting_partitions', this.#unknown.size)
  }
}

const NOTHING: ReadonlyMap<string, Counts> = new Map()
const NO_OPERATIONS: readonly Operation[] = []

function plainOf({ records, bytes, tombstones }: Counts): Counts {
  return { records, bytes, tombstones }
}

function typeOf(tallies: Map<string, Tally>, type: string): Tally {
  const known = tallies.get(type)
  if (known !== undefined) return known
  const tally = { ...NO_COUNTS }
  tallies.set(type, tally)
  return tally
}

function add(to: Tally, { records, bytes, tombstones }: Counts): void {
  to.records += records
  to.bytes += bytes
  to.tombstones += tombstones
}

function subtract(from: Tally, { records, bytes, tombstones }: Counts): void {
  add(from, { records: -records, bytes: -bytes, tombstones: -tombstones })
}
