import {
  assert,
  concatBytes,
  decodeWith,
  EMPTY_BYTES,
  encodeWith,
  type TupleCodec,
  type TupleReader,
  type TupleValue,
} from '@atoll/core'
import { damaged, packVector, unpackVector } from './actors.ts'
import { PackableRecord } from './packable-record.ts'
import {
  type IndexEntry,
  type RecordHead,
  type Sibling,
  type SiblingHead,
  type StoredRecord,
  siblingOf,
} from './record.ts'
import { compareDots, covers, sortedEntries } from './version-vector.ts'

/** A record as it is stored and sent: everything but the values, and the values, raw and end to end. */
export interface EncodedRecord {
  readonly head: Uint8Array
  readonly body: Uint8Array
}

const NAME = 'a record'
const NO_TEXTS: readonly string[] = []
/** Of nearly all records. */
const NO_METADATA: SiblingHead['metadata'] = new Map()

/** The body of a record with one value is that value itself, not a copy. Neither part may be changed by whoever has it. */
export function encodeRecord(record: StoredRecord): EncodedRecord {
  return { head: encodeHead(record), body: bodyOf(record.siblings) }
}

/** The head alone. It may not be changed by whoever has it. */
export function encodeHead(record: RecordHead): Uint8Array {
  return PackableRecord.headOf(record, packHead)
}

/**
 * Whether a record of several siblings takes more than this. One of a single sibling never does: it is as large as a client
 * may make it.
 */
export function exceedsRoom(
  record: RecordHead,
  room: { readonly headBytes: number; readonly bodyBytes: number },
): boolean {
  const { siblings } = record
  if (siblings.length < 2) return false
  const bytes = siblings.reduce((sum, { value }) => sum + value.length, 0)
  return bytes > room.bodyBytes || encodeHead(record).length > room.headBytes
}

/** The same record, of which the values are copies. */
export function copyRecord(record: StoredRecord): StoredRecord {
  return PackableRecord.copyOf(record)
}

function packHead(record: RecordHead): Uint8Array {
  return encodeWith(headCodec, record)
}

function bodyOf(siblings: readonly Sibling[]): Uint8Array {
  const [first] = siblings
  return first !== undefined && siblings.length === 1
    ? first.value
    : concatBytes(siblings.map(({ value }) => value))
}

/**
 * What a head says of its record. A value of no bytes is there. Throws `ATOLL_CORRUPT` as `decodeRecord`. Keeps the
 * head.
 */
export function decodeHead(head: Uint8Array): RecordHead {
  const { clock, siblings } = decodeWith(headCodec, head)
  const known = siblings.map((sibling) =>
    sibling.value.length === 0 ? siblingOf(EMPTY_BYTES, sibling) : sibling,
  )
  return new PackableRecord<SiblingHead>(clock, known, headOfVersion(head))
}

/**
 * The record of a head and its body; the values are views of `body`. Throws `ATOLL_CORRUPT` if the two are not what
 * `encodeRecord` wrote, except for the bytes of the values: whoever reads them compares `valueCrc32`. Keeps the head.
 */
export function decodeRecord(head: Uint8Array, body: Uint8Array): StoredRecord {
  const { clock, siblings } = decodeWith(headCodec, head)
  let end = 0
  const withValues = siblings.map((sibling): Sibling => {
    const start = end
    end += sibling.value.length
    // One value is the body itself, so that whoever has seen the body knows the value.
    return siblingOf(start === 0 && end === body.length ? body : body.subarray(start, end), sibling)
  })
  if (end !== body.length) throw damaged(NAME, `its values have ${end} bytes, its body ${body.length}`)
  return new PackableRecord(clock, withValues, headOfVersion(head))
}

/** One of an earlier version is not what would be written now. */
function headOfVersion(head: Uint8Array): Uint8Array | undefined {
  return head[0] === headCodec.version ? head : undefined
}

const headCodec: TupleCodec<RecordHead> = {
  name: NAME,
  version: 1,
  encode: ({ clock, siblings }) => {
    const { actors, counters } = packVector(clock)
    const order = clock.size === 1 ? [...clock.keys()] : sortedEntries(clock).map(([actor]) => actor)
    const packed: TupleValue[] = [actors, counters]
    for (const sibling of siblings) packed.push(packSibling(sibling, order.indexOf(sibling.dot.actor)))
    return packed
  },
  decode: (reader) => {
    const actors = reader.bytes()
    const counters = reader.list((item) => item.uint())
    const clock = unpackVector(NAME, { actors, counters })
    const order = [...clock.keys()]
    const siblings: SiblingHead[] = []
    while (reader.remaining > 0) siblings.push(unpackSibling(reader.tuple(), order))
    checkDots(clock, siblings)
    return { clock, siblings }
  },
}

/** A dot names its actor by place in the clock, which covers it. */
function packSibling(sibling: SiblingHead, actor: number): TupleValue {
  assert(actor >= 0, 'the clock of a record covers its siblings')
  return [
    actor,
    sibling.dot.counter,
    sibling.value.length,
    sibling.valueCrc32,
    sibling.timestampMs,
    sibling.writeId,
    sibling.tombstone,
    sibling.expiresAtMs ?? null,
    packMetadata(sibling.metadata),
    packIndexes(sibling.indexes),
  ]
}

function packMetadata(metadata: SiblingHead['metadata']): readonly string[] {
  if (metadata.size === 0) return NO_TEXTS
  const packed: string[] = []
  for (const [name, value] of metadata) packed.push(name, value)
  return packed
}

function packIndexes(indexes: readonly IndexEntry[]): readonly TupleValue[] {
  const packed: TupleValue[] = []
  for (const { index, scope, term, payload } of indexes) packed.push(index, scope, term, payload)
  return packed
}

function unpackMetadata(reader: TupleReader): SiblingHead['metadata'] {
  const pairs = reader.list((item) => [item.string(), item.string()] as const)
  return pairs.length === 0 ? NO_METADATA : new Map(pairs)
}

function unpackSibling(reader: TupleReader, order: readonly string[]): SiblingHead {
  const actor = order[reader.uint()]
  if (actor === undefined) throw damaged(NAME, 'a sibling has an actor that the clock lacks')
  const sibling = {
    dot: { actor, counter: reader.uint() },
    value: { length: reader.uint() },
    valueCrc32: reader.uint(),
    timestampMs: reader.uint(),
    writeId: reader.bytes(),
    tombstone: reader.boolean(),
    expiresAtMs: reader.optional((item) => item.number()),
    metadata: unpackMetadata(reader),
    indexes: reader.list(unpackIndexEntry),
  }
  reader.end()
  return sibling
}

function unpackIndexEntry(reader: TupleReader): IndexEntry {
  return { index: reader.string(), scope: reader.bytes(), term: reader.bytes(), payload: reader.bytes() }
}

function checkDots(clock: RecordHead['clock'], siblings: readonly SiblingHead[]): void {
  for (let at = 0; at < siblings.length; at++) {
    const dot = siblings[at]?.dot
    assert(dot !== undefined, 'every sibling has a dot')
    const next = siblings[at + 1]
    if (next !== undefined && compareDots(dot, next.dot) >= 0) throw damaged(NAME, 'siblings out of order')
    if (dot.counter === 0 || !covers(clock, dot))
      throw damaged(NAME, 'a sibling that the clock does not cover')
  }
}
