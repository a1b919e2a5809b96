import { type Runtime, storageFailure } from '@atoll/core'
import {
  type CountPage,
  type CountPut,
  type CountRow,
  keptRow,
  pageRow,
  SLIPS,
  slipRow,
} from './count-rows.ts'
import type { CountStep, Counts } from './counts.ts'
import { hasAnyKeys, NOTED } from './database.ts'
import { VnodeLayout } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import type { Recount } from './recount.ts'
import { keysOfCounts, readCounts } from './stored-counts.ts'
import { type StoredCounts, Tallies, type TypeTally } from './tallies.ts'

export interface CountersParts {
  readonly runtime: Runtime
  readonly database: Database
  /** Called when there is a vnode of which nobody knows the counts. */
  readonly onUnknown: () => void
}

type Adding = Extract<CountStep, { kind: 'add' }>

/** After so many slips the pages are written: each is on its page before its place in the ring is needed again. */
const PAGES_EVERY = SLIPS / 2
/**
 * Or after so many counts in slips, since all of them are read when the database is opened; and for each page that has to be
 * written after so many, since they are not to cost more than the slips.
 */
const PAGED_CHANGES = 2048
const CHANGES_PER_PAGE = 16

/**
 * How many records there are in each vnode, of each bucket type, how many bytes and tombstones: kept in memory, and
 * written in the batch of the records that they speak of. Steps are queued when a write is decided, and taken in the order
 * of batches, when one is put together; what is known here is as of the last batch that was put together. After a failed
 * one it is read from the disk again.
 */
export class Counters {
  readonly #parts: CountersParts
  readonly #tallies = new Tallies()
  /** Partitions of which something has changed since their page. */
  readonly #unpaged = new Set<number>()
  readonly #recounts = new Map<number, Recount>()
  #sequence = 0
  #pagedAt = 0
  /** Counts in slips since then. */
  #slipped = 0
  /** The most bytes of any row: of what another one may replace. */
  #mostBytes = 0

  constructor(parts: CountersParts) {
    this.#parts = parts
  }

  /** Reads what is on the disk, of so many partitions. What was written by a build that kept no counts is not known. */
  async load(partitions: number): Promise<void> {
    const { database, runtime } = this.#parts
    const { rows, mark, mostBytes } = await readCounts({ database, crc32: runtime.digest.crc32 })
    const damaged = rows.filter(({ kind }) => kind === 'lost' || kind === 'lost page').length
    if (damaged > 0) runtime.metrics.count('atoll_vnode_corrupt_notes_total', damaged)
    this.#mostBytes = Math.max(this.#mostBytes, mostBytes)
    if (!rows.some(({ kind }) => kind === 'kept') || rows.some(({ kind }) => kind === 'lost'))
      await this.#begin(partitions)
    else {
      this.clear()
      this.#sequence = mark?.pagedAt ?? 0
      for (const row of rows) this.#readPage(row)
      this.#readSlips(rows)
      // Without a mark whatever the slips say is put on pages by the next batch.
      this.#pagedAt = mark?.pagedAt ?? this.#sequence - PAGES_EVERY
    }
    this.#tell()
  }

  /** By bucket type; undefined while nobody knows. */
  of(partition: number): ReadonlyMap<string, Counts> | undefined {
    return this.#tallies.of(partition)
  }

  /** Whether a partition is known to hold records. */
  holds(partition: number): boolean {
    return this.#tallies.holds(partition)
  }

  /** Partitions of which nobody knows the counts. */
  get unknown(): ReadonlySet<number> {
    return this.#tallies.unknown
  }

  sum(): StoredCounts {
    return this.#tallies.sum()
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
      if (step.kind === 'set') this.#tallies.set(step.partition, step.counts)
      else this.#forget(step.partition)
      paged.add(step.partition)
    }
    const rows = this.#rows(changed, paged)
    // Behind the mark there is a slip of every batch that has a number.
    if (rows.length === 0) this.#sequence -= 1
    this.#tell()
    return this.#told(rows)
  }

  /** With what they may replace: a value log knows by it what is dead. */
  #told(rows: readonly CountPut[]): readonly Operation[] {
    const replacesBytes = this.#mostBytes
    this.#saw(rows)
    return rows.map((row) => ({ ...row, replacesBytes }))
  }

  /** Nothing that is being counted is worth anything: vnodes become others, or what was decided is not written. */
  abandonRecounts(): void {
    this.#recounts.clear()
  }

  clear(): void {
    this.#tallies.clear()
    this.#unpaged.clear()
    this.#recounts.clear()
    this.#sequence = 0
    this.#slipped = 0
  }

  /** False if the counts cannot be right, by which they are forgotten. */
  #add(step: Adding, changed: Set<TypeTally>): boolean {
    const { partition } = step
    if (this.unknown.has(partition)) return true
    const tally = this.#tallies.add(step)
    this.#unpaged.add(partition)
    changed.add(tally)
    if (tally.records >= 0 && tally.bytes >= 0 && tally.tombstones >= 0) return true
    changed.delete(tally)
    const { log, probe } = this.#parts.runtime
    probe.mark('vnode.counts-below-zero')
    log.error({ ...tally }, 'the counts of a vnode were wrong: its records are counted anew')
    return false
  }

  #forget(partition: number): void {
    this.#tallies.forget(partition)
    this.#parts.onUnknown()
  }

  /** What a batch writes: a slip of what it has changed, or pages of all that has changed since there were any. */
  #rows(changed: ReadonlySet<TypeTally>, paged: ReadonlySet<number>): CountPut[] {
    this.#slipped += changed.size
    if (paged.size > 0 || this.#arePagesDue) return this.#pages(new Set([...paged, ...this.#unpaged]))
    if (changed.size === 0) return []
    return [slipRow({ sequence: this.#sequence, changed }, this.#parts.runtime.digest.crc32)]
  }

  get #arePagesDue(): boolean {
    if (this.#sequence - this.#pagedAt >= PAGES_EVERY) return true
    return this.#slipped >= Math.max(PAGED_CHANGES, CHANGES_PER_PAGE * this.#unpaged.size)
  }

  /** With the mark that says how far they go. */
  #pages(partitions: Iterable<number>): CountPut[] {
    const pages = Array.from(partitions, (partition) => this.#page(partition))
    this.#saw(pages)
    this.#pagedAt = this.#sequence
    this.#slipped = 0
    const mark = { pagedAt: this.#pagedAt, mostBytes: this.#mostBytes }
    return [...pages, keptRow(mark, this.#parts.runtime.digest.crc32)]
  }

  #saw(rows: readonly CountPut[]): void {
    for (const { value } of rows) this.#mostBytes = Math.max(this.#mostBytes, value.length)
  }

  #page(partition: number): CountPut {
    this.#unpaged.delete(partition)
    // A bucket type of which nothing is left is forgotten.
    this.#tallies.forgetEmpty(partition)
    const page: CountPage = { partition, sequence: this.#sequence, counts: this.of(partition) }
    return pageRow(page, this.#parts.runtime.digest.crc32)
  }

  #readPage(row: CountRow): void {
    if (row.kind === 'lost page') this.#forget(row.partition)
    if (row.kind !== 'page') return
    const { partition, sequence, counts } = row.page
    this.#sequence = Math.max(this.#sequence, sequence)
    if (counts === undefined) this.#forget(partition)
    else this.#tallies.set(partition, counts)
  }

  #readSlips(rows: readonly CountRow[]): void {
    const pagedAt = new Map<number, number>()
    for (const row of rows) if (row.kind === 'page') pagedAt.set(row.page.partition, row.page.sequence)
    const slips = rows.flatMap((row) => (row.kind === 'slip' ? [row.slip] : []))
    for (const { sequence, changed } of slips.sort((a, b) => a.sequence - b.sequence)) {
      this.#sequence = Math.max(this.#sequence, sequence)
      for (const counts of changed) {
        const { partition } = counts
        this.#slipped += 1
        if (this.unknown.has(partition) || sequence <= (pagedAt.get(partition) ?? 0)) continue
        this.#tallies.replace(counts)
        this.#unpaged.add(partition)
      }
    }
  }

  /** Nothing that was counted before is believed. */
  async #begin(partitions: number): Promise<void> {
    const { database } = this.#parts
    const held: number[] = []
    for (let partition = 0; partition < partitions; partition++) {
      const ranges = new VnodeLayout(partition).rangesAfter(undefined, { hasOlder: true })
      if (await hasAnyKeys(database, ranges)) held.push(partition)
    }
    this.clear()
    for (const partition of held) this.#forget(partition)
    const replacesBytes = this.#mostBytes
    const old = (await keysOfCounts({ database })).map(
      (key): Operation => ({ type: 'del', key, replacesBytes }),
    )
    const fresh = this.#told(this.#pages(held))
    const operations = [...old, ...fresh]
    try {
      await database.batch(operations, NOTED)
    } catch (cause) {
      throw storageFailure('the database cannot be written', cause)
    }
  }

  #tell(): void {
    const { metrics } = this.#parts.runtime
    const { total, unknown } = this.#tallies
    metrics.gauge('atoll_vnode_records', total.records)
    metrics.gauge('atoll_vnode_record_bytes', total.bytes)
    metrics.gauge('atoll_vnode_tombstones', total.tombstones)
    metrics.gauge('atoll_vnode_counting_partitions', unknown.size)
  }
}

const NO_OPERATIONS: readonly Operation[] = []
