import {
  decodeWith,
  encodeWith,
  isAtollError,
  type TupleCodec,
  type TupleReader,
  type TupleValue,
  utf8,
} from '@atoll/core'
import type { Counts } from './counts.ts'
import { endOfSublevel, type KeyRange, keyText } from './keys.ts'
import type { Operation } from './ports.ts'
import { type Crc32, seal, unseal } from './seal.ts'

/**
 * How counts lie on the disk, beside the format of the database. A *page* for each vnode says all its counts as of a batch;
 * the *slips* of the last batches, in a ring, say those that changed behind the pages. All say what is, not what was added,
 * and by the number of their batch which of them is newer: so it does not matter what of them was read twice.
 */
const HEAD = '!meta!count!'
const PAGE = `${HEAD}page!`
const SLIP = `${HEAD}slip!`
const DIGITS = 4

/** Batches of which there is a slip, at most. */
export const SLIPS = 1024

export const COUNT_RANGE: KeyRange = { gte: utf8(HEAD), lt: endOfSublevel(utf8(HEAD)) }
/** The pages, and what says how far they go. */
export const PAGE_RANGE: KeyRange = { gte: COUNT_RANGE.gte, lt: utf8(SLIP) }
/**
 * There from when on every batch has its counts: what was written before has to be counted. Says also up to which batch
 * all is on the pages.
 */
export const KEPT_KEY: Uint8Array = utf8(`${HEAD}kept`)

/** What one vnode has. */
export interface CountPage {
  readonly partition: number
  readonly sequence: number
  /** By bucket type; undefined if nobody knows. */
  readonly counts: ReadonlyMap<string, Counts> | undefined
}

/** What one batch has changed. */
export interface CountSlip {
  readonly sequence: number
  readonly changed: Iterable<TypeCounts>
}

export interface TypeCounts extends Counts {
  readonly partition: number
  readonly type: string
}

/** How far the pages go, as builds say that set it. Behind it every batch that has changed counts has its slip. */
export interface CountMark {
  /** The batch up to which all is on the pages. */
  readonly pagedAt: number
  /** Bytes of the largest row that was ever written, up to that batch. */
  readonly mostBytes: number
}

export type CountRow = { readonly key: Uint8Array } & (
  | { readonly kind: 'kept'; readonly mark: CountMark | undefined }
  | { readonly kind: 'page'; readonly page: CountPage }
  | { readonly kind: 'slip'; readonly slip: CountSlip }
  /** A page of which nothing can be read but whose it is. */
  | { readonly kind: 'lost page'; readonly partition: number }
  | { readonly kind: 'lost' }
)

/** A row as it is written. */
export type CountPut = Extract<Operation, { type: 'put' }>

export function pageRow(page: CountPage, crc32: Crc32): CountPut {
  const key = utf8(`${PAGE}${digits(page.partition)}`)
  return { type: 'put', key, value: seal(key, encodeWith(pageCodec, page), crc32) }
}

export function slipRow(slip: CountSlip, crc32: Crc32): CountPut {
  const key = slipKey(slip.sequence)
  return { type: 'put', key, value: seal(key, encodeWith(slipCodec, slip), crc32) }
}

export function keptRow(mark: CountMark, crc32: Crc32): CountPut {
  return { type: 'put', key: KEPT_KEY, value: seal(KEPT_KEY, encodeWith(markCodec, mark), crc32) }
}

/** The places in the ring from that of a batch on, in order: to its end, and from its beginning. */
export function slipRanges(sequence: number): readonly KeyRange[] {
  const from = slipKey(sequence)
  return [
    { gte: from, lt: COUNT_RANGE.lt },
    { gte: utf8(SLIP), lt: from },
  ]
}

function slipKey(sequence: number): Uint8Array {
  return utf8(`${SLIP}${digits(sequence % SLIPS)}`)
}

/** Never throws. */
export function readCountRow(key: Uint8Array, value: Uint8Array, crc32: Crc32): CountRow {
  const text = keyText(key)
  const partition = text.startsWith(PAGE) ? Number(text.slice(PAGE.length)) : Number.NaN
  const isPage = Number.isInteger(partition)
  try {
    const bytes = unseal(key, value, crc32)
    if (isPage) return { key, kind: 'page', page: { partition, ...decodeWith(pageCodec, bytes) } }
    if (text.startsWith(SLIP)) return { key, kind: 'slip', slip: decodeWith(slipCodec, bytes) }
    return { key, kind: 'kept', mark: isUnmarked(bytes) ? undefined : decodeWith(markCodec, bytes) }
  } catch (error) {
    if (!isAtollError(error)) throw error
    return isPage ? { key, kind: 'lost page', partition } : { key, kind: 'lost' }
  }
}

function digits(count: number): string {
  return count.toString().padStart(DIGITS, '0')
}

/** What builds before have written: their version, and no tuple. */
function isUnmarked(bytes: Uint8Array): boolean {
  return bytes.length === 1 && bytes[0] === 1
}

const markCodec: TupleCodec<CountMark> = {
  name: 'the note how far the counts are on pages',
  version: 2,
  encode: ({ pagedAt, mostBytes }) => [pagedAt, mostBytes],
  decode: (reader) => ({ pagedAt: reader.uint(), mostBytes: reader.uint() }),
}

const pageCodec: TupleCodec<Omit<CountPage, 'partition'>> = {
  name: 'the counts of a vnode',
  version: 1,
  encode: ({ sequence, counts }) => [
    sequence,
    counts === undefined
      ? null
      : Array.from(counts, ([type, { records, bytes, tombstones }]) => [type, records, bytes, tombstones]),
  ],
  decode: (reader) => {
    const sequence = reader.uint()
    const counts = reader.optional((field) => field.list((item) => readWhole(item.tuple(), readPaged)))
    return { sequence, counts: counts === undefined ? undefined : new Map(counts) }
  },
}

/** Written with every batch, so all fields stand in one tuple. */
const slipCodec: TupleCodec<CountSlip> = {
  name: 'the counts that a batch has changed',
  version: 1,
  encode: ({ sequence, changed }) => {
    const fields: TupleValue[] = [sequence]
    for (const { partition, type, records, bytes, tombstones } of changed)
      fields.push(partition, type, records, bytes, tombstones)
    return fields
  },
  decode: (reader) => {
    const sequence = reader.uint()
    const changed: TypeCounts[] = []
    while (reader.remaining > 0) {
      const partition = reader.uint()
      const type = reader.string()
      const { records, bytes, tombstones } = readCounts(reader)
      changed.push({ partition, type, records, bytes, tombstones })
    }
    return { sequence, changed }
  },
}

function readPaged(reader: TupleReader): readonly [string, Counts] {
  return [reader.string(), readCounts(reader)]
}

function readCounts(reader: TupleReader): Counts {
  return { records: reader.uint(), bytes: reader.uint(), tombstones: reader.uint() }
}

function readWhole<T>(reader: TupleReader, read: (reader: TupleReader) => T): T {
  const value = read(reader)
  reader.end()
  return value
}
