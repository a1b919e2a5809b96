import {
  compareBytes,
  concatBytes,
  decodeWith,
  encodeWith,
  type TupleCodec,
  type TupleReader,
} from '@atoll/core'
import { corrupt } from './corrupt.ts'
import type { KvIndexEntry } from './ports.ts'

/** One value of a key, beside which others may stand that were written without knowing of it. */
export interface LevelSibling {
  /** Which write of the database it was; unique, and greater than all before. */
  readonly event: number
  readonly value: Uint8Array
  readonly valueCrc32: number
  readonly indexes: readonly KvIndexEntry[]
}

/** An index entry with what each sibling says there. */
export interface LevelIndexEntry extends Omit<KvIndexEntry, 'payload'> {
  readonly payloads: readonly Uint8Array[]
}

type Crc32 = (bytes: Uint8Array) => number

/** Of the head and its checksum, before the head itself; the values follow the head. */
const FRAME_BYTES = 8

/** Head length, head checksum, head, values. */
export function encodeRecord(siblings: readonly LevelSibling[], crc32: Crc32): Uint8Array {
  const head = encodeWith(headCodec, siblings.map(headOf))
  const frame = new Uint8Array(FRAME_BYTES)
  const view = new DataView(frame.buffer)
  view.setUint32(0, head.length)
  view.setUint32(4, crc32(head))
  return concatBytes([frame, head, ...siblings.map(({ value }) => value)])
}

/** Throws `ATOLL_CORRUPT` for bytes that are not what was written, up to the last bit. */
export function decodeRecord(bytes: Uint8Array, crc32: Crc32): LevelSibling[] {
  if (bytes.length < FRAME_BYTES) throw corrupt('a record is too short')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = FRAME_BYTES + view.getUint32(0)
  const head = bytes.subarray(FRAME_BYTES, at)
  if (crc32(head) !== view.getUint32(4)) throw corrupt('the head of a record fails its checksum')
  const siblings = decodeWith(headCodec, head).map(({ valueBytes, ...sibling }) => {
    // A copy (which `slice` of a Buffer is not), since a value belongs to its receiver and the record to the database.
    const value = new Uint8Array(bytes.subarray(at, at + valueBytes))
    at += valueBytes
    if (crc32(value) !== sibling.valueCrc32) throw corrupt('a value fails its checksum')
    return { ...sibling, value }
  })
  if (at !== bytes.length) throw corrupt('a record has not the length that its head says')
  return siblings
}

/** The index entries of all siblings together. */
export function entriesOf(siblings: readonly LevelSibling[]): readonly LevelIndexEntry[] {
  const entries: (LevelIndexEntry & { payloads: Uint8Array[] })[] = []
  for (const { payload, ...place } of siblings.flatMap(({ indexes }) => indexes)) {
    const known = entries.find((entry) => isSamePlace(entry, place))
    if (known === undefined) entries.push({ ...place, payloads: [payload] })
    else known.payloads.push(payload)
  }
  return entries
}

/** The payloads of an index entry. */
export const payloadsCodec: TupleCodec<readonly Uint8Array[]> = {
  name: 'index entry',
  version: 1,
  encode: (payloads) => payloads,
  decode: (reader) => {
    const payloads: Uint8Array[] = []
    while (reader.remaining > 0) payloads.push(reader.bytes())
    return payloads
  },
}

type Head = Omit<LevelSibling, 'value'> & { readonly valueBytes: number }

function headOf({ value, ...rest }: LevelSibling): Head {
  return { ...rest, valueBytes: value.length }
}

const headCodec: TupleCodec<readonly Head[]> = {
  name: 'head of a record',
  version: 1,
  encode: (heads) =>
    heads.map(({ event, valueBytes, valueCrc32, indexes }) => [
      event,
      valueBytes,
      valueCrc32,
      indexes.map(({ index, scope, term, payload }) => [index, scope, term, payload]),
    ]),
  decode: (reader) => {
    const heads: Head[] = []
    while (reader.remaining > 0) heads.push(readHead(reader.tuple()))
    return heads
  },
}

function readHead(reader: TupleReader): Head {
  const head = {
    event: reader.uint(),
    valueBytes: reader.uint(),
    valueCrc32: reader.uint(),
    indexes: reader.list(readIndexEntry),
  }
  reader.end()
  return head
}

function readIndexEntry(indexes: TupleReader): KvIndexEntry {
  const reader = indexes.tuple()
  const entry = {
    index: reader.string(),
    scope: reader.bytes(),
    term: reader.bytes(),
    payload: reader.bytes(),
  }
  reader.end()
  return entry
}

type Place = Omit<KvIndexEntry, 'payload'>

function isSamePlace(a: Place, b: Place): boolean {
  return a.index === b.index && compareBytes(a.scope, b.scope) === 0 && compareBytes(a.term, b.term) === 0
}
