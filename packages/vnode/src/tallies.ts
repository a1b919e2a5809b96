import type { TypeCounts } from './count-rows.ts'
import { type Counts, NO_COUNTS } from './counts.ts'

/** What is stored, summed up over vnodes. */
export interface StoredCounts extends Counts {
  /** Bucket types of which there are records, by name. */
  readonly types: ReadonlyMap<string, Counts>
  /** Partitions that are still being counted: what they hold is not in the sums. */
  readonly counting: number
}

type Tally = { -readonly [Name in keyof Counts]: Counts[Name] }
/** The counts of one bucket type of one vnode, as they go. */
export type TypeTally = Tally & Pick<TypeCounts, 'partition' | 'type'>

const NOTHING: ReadonlyMap<string, Counts> = new Map()

/** The counts of all vnodes of a host, by bucket type, and their sum. */
export class Tallies {
  /** By partition and bucket type; what is not here has no records. */
  readonly #known = new Map<number, Map<string, TypeTally>>()
  readonly #unknown = new Set<number>()
  readonly #total: Tally = { ...NO_COUNTS }

  /** Partitions of which nobody knows the counts. */
  get unknown(): ReadonlySet<number> {
    return this.#unknown
  }

  /** Of all vnodes that are known. */
  get total(): Counts {
    return this.#total
  }

  /** By bucket type; undefined while nobody knows. */
  of(partition: number): ReadonlyMap<string, Counts> | undefined {
    if (this.#unknown.has(partition)) return undefined
    const tallies = this.#known.get(partition)
    if (tallies === undefined) return NOTHING
    return new Map(Array.from(tallies, ([type, tally]) => [type, plainOf(tally)]))
  }

  /** Whether a partition is known to hold records. */
  holds(partition: number): boolean {
    if (this.#unknown.has(partition)) return false
    for (const { records } of this.#known.get(partition)?.values() ?? []) if (records > 0) return true
    return false
  }

  sum(): StoredCounts {
    const types = new Map<string, Tally>()
    for (const [partition, tallies] of this.#known) {
      if (this.#unknown.has(partition)) continue
      for (const [type, tally] of tallies) add(typeOf(types, type), tally)
    }
    return { ...this.#total, types, counting: this.#unknown.size }
  }

  /** Answers the tally as it is now; it may be below zero. */
  add(counts: TypeCounts): TypeTally {
    const tally = this.#tallyOf(counts.partition, counts.type)
    add(tally, counts)
    add(this.#total, counts)
    return tally
  }

  /** The counts of a bucket type of a vnode, whatever they were. */
  replace({ partition, type, records, bytes, tombstones }: TypeCounts): void {
    const tally = this.#tallyOf(partition, type)
    subtract(this.#total, tally)
    tally.records = records
    tally.bytes = bytes
    tally.tombstones = tombstones
    add(this.#total, tally)
  }

  /** All counts of a vnode, whatever they were. */
  set(partition: number, counts: ReadonlyMap<string, Counts>): void {
    this.#drop(partition)
    this.#unknown.delete(partition)
    for (const [type, { records, bytes, tombstones }] of counts)
      this.add({ partition, type, records, bytes, tombstones })
  }

  /** Nobody knows them any more. */
  forget(partition: number): void {
    this.#drop(partition)
    this.#unknown.add(partition)
  }

  /** Bucket types of which a vnode has nothing. */
  forgetEmpty(partition: number): void {
    const tallies = this.#known.get(partition)
    for (const [type, { records }] of tallies ?? []) if (records === 0) tallies?.delete(type)
  }

  clear(): void {
    this.#known.clear()
    this.#unknown.clear()
    Object.assign(this.#total, NO_COUNTS)
  }

  #drop(partition: number): void {
    for (const tally of this.#known.get(partition)?.values() ?? []) subtract(this.#total, tally)
    this.#known.delete(partition)
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
}

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
  from.records -= records
  from.bytes -= bytes
  from.tombstones -= tombstones
}
