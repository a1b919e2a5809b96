import { clockDigest, type StoredRecord, visibleIndexEntries } from '@atoll/causality'
import { decodeWith, encodeWith, type KeyId, type TupleCodec } from '@atoll/core'
import { keyText } from './keys.ts'
import type { VnodeLayout } from './layout.ts'
import type { Operation } from './ports.ts'
import { type Crc32, seal, unseal } from './seal.ts'

/** What a scan learns of an entry without reading the record. */
export interface IndexValue {
  readonly slice: number
  readonly clockDigest: Uint8Array
  readonly payloads: readonly Uint8Array[]
}

export interface IndexMeans {
  readonly layout: VnodeLayout
  readonly crc32: Crc32
  readonly sha1: (data: Uint8Array) => Uint8Array
  readonly sliceOf: (id: KeyId) => number
}

export interface RecordChange {
  readonly id: KeyId
  readonly before: StoredRecord | undefined
  readonly after: StoredRecord
}

/** Puts every entry of the new record, each of which carries its clock, and deletes what only the old one had. */
export function indexOperations(change: RecordChange, means: IndexMeans): Operation[] {
  const { id, before, after } = change
  const old = before === undefined ? [] : indexKeys(id, before, means.layout)
  const entries = visibleIndexEntries(after)
  if (old.length === 0 && entries.length === 0) return []
  const digest = clockDigest(after, means.sha1)
  const slice = means.sliceOf(id)
  const puts = entries.map(({ index, scope, term, payloads }) => {
    const key = means.layout.indexKey(
      { type: id.type, index, scope },
      { term, bucket: id.bucket, key: id.key },
    )
    const value = encodeWith(indexValueCodec, { slice, clockDigest: digest, payloads })
    return { type: 'put', key, value: seal(key, value, means.crc32) } as const
  })
  if (old.length === 0) return puts
  const kept = new Set(puts.map(({ key }) => keyText(key)))
  const gone = old.filter((key) => !kept.has(keyText(key)))
  return [...gone.map((key) => ({ type: 'del', key }) as const), ...puts]
}

/** Throws `ATOLL_CORRUPT` for bytes that fail their check. */
export function decodeIndexValue(key: Uint8Array, bytes: Uint8Array, crc32: Crc32): IndexValue {
  return decodeWith(indexValueCodec, unseal(key, bytes, crc32))
}

/** Deletes every entry of a record. */
export function indexDeletes(id: KeyId, record: StoredRecord, layout: VnodeLayout): readonly Operation[] {
  return indexKeys(id, record, layout).map((key) => ({ type: 'del', key }))
}

function indexKeys({ type, bucket, key }: KeyId, record: StoredRecord, layout: VnodeLayout): Uint8Array[] {
  return visibleIndexEntries(record).map(({ index, scope, term }) =>
    layout.indexKey({ type, index, scope }, { term, bucket, key }),
  )
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
