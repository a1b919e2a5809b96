import type { Device, Session } from './device.ts'
import { type Bound, type Entry, isWithin, type OrderedMap, type Range } from './ordered-map.ts'

/** How many entries one read of the disk brings at least, if there are so many. */
const PAGE_ENTRIES = 100

/** The range options of abstract-level, as its private methods get them. A limit of -1 is none. */
export interface RangeOptions {
  readonly gt?: Uint8Array
  readonly gte?: Uint8Array
  readonly lt?: Uint8Array
  readonly lte?: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
}

/** As abstract-level has it, the inclusive bound wins where both are given. */
export function rangeOf(options: RangeOptions): Range {
  const { reverse = false, limit = -1 } = options
  return {
    lower: boundOf(options.gte, options.gt),
    upper: boundOf(options.lte, options.lt),
    reverse,
    limit: limit < 0 ? Number.POSITIVE_INFINITY : limit,
  }
}

function boundOf(inclusive: Uint8Array | undefined, exclusive: Uint8Array | undefined): Bound | undefined {
  if (inclusive !== undefined) return { key: inclusive, inclusive: true }
  return exclusive === undefined ? undefined : { key: exclusive, inclusive: false }
}

/** Walks over a range of one version of the disk, a page of entries at a time. */
export class Cursor {
  readonly #device: Device
  readonly #session: Session
  readonly #map: OrderedMap
  readonly #range: Range
  /** What has not been read of the range. */
  #rest: Range
  #page: Entry[] = []

  constructor(device: Device, session: Session, { map, range }: { map: OrderedMap; range: Range }) {
    this.#device = device
    this.#session = session
    this.#map = map
    this.#range = range
    this.#rest = range
  }

  /** The next entries: `count` of them, unless the range ends before. */
  async take(count: number): Promise<Entry[]> {
    if (this.#page.length < count) await this.#read(Math.max(count - this.#page.length, PAGE_ENTRIES))
    return this.#page.splice(0, count)
  }

  /** Goes on from `target`. If that is outside the range there is nothing left. */
  seek(target: Uint8Array): void {
    const { reverse, limit } = this.#range
    this.#page = []
    this.#rest = isWithin(target, this.#range)
      ? this.#restFrom({ key: target, inclusive: true })
      : { lower: undefined, upper: undefined, reverse, limit: Math.min(0, limit) }
  }

  async #read(count: number): Promise<void> {
    const limit = Math.min(count, this.#rest.limit)
    const entries = this.#map.range({ ...this.#rest, limit })
    await this.#device.read(this.#session, entries)
    const last = entries.at(-1)
    if (last !== undefined) this.#rest = this.#restFrom({ key: last.key, inclusive: false })
    if (entries.length < limit) this.#rest = { ...this.#rest, limit: 0 }
    this.#page.push(...entries)
  }

  /** The limit is abstract-level's business: it counts what it hands out. */
  #restFrom(bound: Bound): Range {
    const { lower, upper, reverse } = this.#range
    const limit = Number.POSITIVE_INFINITY
    return reverse ? { lower, upper: bound, reverse, limit } : { lower: bound, upper, reverse, limit }
  }
}
