import { clockDigest, type RecordHead, visibleIndexEntries } from '@atoll/causality'
import { decodeWith, encodeWith, type KeyId, placeOf, type TupleCodec } from '@atoll/core'
import { type IndexSpace, NODE_INDEX } from './index-space.ts'
import { keyText } from './keys.ts'
import type { VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'
import { type Crc32, SEAL_BYTES, sealInPlace, unseal } from './seal.ts'

/** What a scan learns of an entry without reading the record. */
export interface IndexValue {
  readonly slice: number
  readonly clockDigest: Uint8Array
  readonly payloads: readonly Uint8Array[]
}

/** Where the entries of a record are. */
export interface IndexWhere {
  readonly layout: VnodeLayout
  /** Whether the range of the partition's own may still have some, so that those are to be deleted there. */
  readonly hasOwn: boolean
}

export interface IndexMeans extends IndexWhere {
  readonly crc32: Crc32
  readonly sha1: (data: Uint8Array) => Uint8Array
  readonly sliceOf: (id: KeyId) => number
}

export interface IndexChange {
  readonly id: KeyId
  readonly before: RecordHead | undefined
  /** Undefined for a record that is removed. */
  readonly after: RecordHead | undefined
}

const NONE: readonly Operation[] = []
const NO_ENTRIES: readonly StoredEntry[] = []

/** What an entry takes besides its payloads, at most: seal, slice, digest, and what is before each payload. */
const ENTRY_BYTES = 128
const PAYLOAD_BYTES = 8

/** Puts every entry of the new record, each of which carries its clock, and deletes what only the old one had. */
export function indexOperations(change: IndexChange, means: IndexMeans): readonly Operation[] {
  const { id, before, after } = change
  const { layout, hasOwn, crc32, sha1, sliceOf } = means
  if (after === undefined) return before === undefined ? NONE : deletesOf(id, before, means)
  const old = before === undefined ? NO_ENTRIES : entriesOf(id, before, NODE_INDEX, layout)
  const entries = visibleIndexEntries(after)
  if (old.length === 0 && entries.length === 0) return NONE
  const own = hasOwn ? ownDeletes(id, before === undefined ? [after] : [before, after], layout) : NONE
  const digest = clockDigest(after, sha1)
  const slice = sliceOf(id)
  const puts = entries.map(({ index, scope, term, payloads }) => {
    const position = { term, bucket: id.bucket, key: id.key, place: id.place }
    const { partition } = layout
    const key = NODE_INDEX.key({ type: id.type, index, scope, position, partition })
    const value = encodeWith(indexValueCodec, { slice, clockDigest: digest, payloads }, SEAL_BYTES)
    return { type: 'put', key, value: sealInPlace(key, value, crc32) } as const
  })
  if (old.length === 0) return own.length === 0 ? puts : [...own, ...puts]
  const gone = new Map(old.map((entry) => [keyText(entry.key), entry]))
  const told = puts.map((put) => {
    const name = keyText(put.key)
    const replacesBytes = gone.get(name)?.bytes
    gone.delete(name)
    return { ...put, replacesBytes }
  })
  return [...own, ...Array.from(gone.values(), deleteOf), ...told]
}

/** Deletes every entry of a record. */
function deletesOf(id: KeyId, record: RecordHead, { layout, hasOwn }: IndexWhere): readonly Operation[] {
  const deletes = entriesOf(id, record, NODE_INDEX, layout).map(deleteOf)
  return hasOwn ? [...deletes, ...ownDeletes(id, [record], layout)] : deletes
}

/** Throws `ATOLL_CORRUPT` for bytes that fail their check. */
export function decodeIndexValue(key: Uint8Array, bytes: Uint8Array, crc32: Crc32): IndexValue {
  return decodeWith(indexValueCodec, unseal(key, bytes, crc32))
}

/** Builds that gave partitions a range of their own knew no places. */
function ownDeletes(id: KeyId, records: readonly RecordHead[], layout: VnodeLayout): readonly Operation[] {
  if (placeOf(id) !== undefined) return NONE
  return records.flatMap((record) => entriesOf(id, record, layout.ownIndex, layout).map(deleteOf))
}

/** An entry that is stored: where, and how many bytes it has at most. */
interface StoredEntry {
  readonly key: Uint8Array
  readonly bytes: number
}

function entriesOf(
  id: KeyId,
  record: RecordHead,
  space: IndexSpace,
  { partition }: VnodeLayout,
): readonly StoredEntry[] {
  return visibleIndexEntries(record).map(({ index, scope, term, payloads }) => {
    const position = { term, bucket: id.bucket, key: id.key, place: id.place }
    const key = space.key({ type: id.type, index, scope, position, partition })
    const bytes = payloads.reduce((sum, { length }) => sum + PAYLOAD_BYTES + length, ENTRY_BYTES)
    return { key, bytes }
  })
}

function deleteOf({ key, bytes }: StoredEntry): Operation {
  return { type: 'del', key, replacesBytes: bytes }
}

const indexValueCodec: TupleCodec<IndexValue> = {
  name: 'an index entry',
  version: 1,
  encode: ({ slice, clockDigest, payloads }) => [slice, clockDigest, ...payloads],
  decode: (reader) => {
    const slice = reader.uint()
    const clockDigest = reader.bytes()
    const payloads: Uint8Array[] = []
    while (reader.remaining > 0) payloads.push(reader.bytes())
    return { slice, clockDigest, payloads }
  },
}
