import type { StoredRecord } from '@atoll/causality'
import { concatBytes, KiB, type Runtime } from '@atoll/core'
import {
  bodyParts,
  type Extent,
  encodeEnvelope,
  encodeHeadEnvelope,
  envelopeParts,
  type StoredParts,
  valueBytes,
} from './envelope.ts'
import { bodyKeyOf, olderKeyOf } from './layout.ts'
import type { Database, Operation } from './ports.ts'
import type { Sheet, Sheets } from './sheets.ts'

export interface PutMeans {
  readonly runtime: Pick<Runtime, 'digest'>
  readonly database: Pick<Database, 'batchBytes'>
  /** Values of more bytes lie apart from their head. */
  readonly inlineBytes: number
  /** Where small records are put together, for a database that keeps none of the bytes that it is given. */
  readonly sheets?: Sheets | undefined
}

export interface RecordPut {
  readonly key: Uint8Array
  readonly record: StoredRecord
  /** What lies there until then. */
  readonly before: Extent
  /** Whether the values will never change: then a large one is written from where it is, where the database can. */
  readonly isSettled?: boolean | undefined
}

/** How a record is written, and how many bytes it then has. */
export interface RecordPuts extends Extent {
  readonly operations: readonly Operation[]
  /** To be released when they are on the disk. */
  readonly sheet: Sheet | undefined
}

/** Smaller values are not worth a buffer of their own on the way to the disk. */
const UNCOPIED_BYTES = 64 * KiB

/**
 * A record under its key, and its values under a key of their own if they have many bytes. Both are in one batch; and where
 * values lay apart before, and do not any more, these go in it. So does a head that lies where a build before has put it.
 */
export function recordPuts(put: RecordPut, means: PutMeans): RecordPuts {
  const { key, record, before } = put
  const { crc32, sha1 } = means.runtime.digest
  const length = valueBytes(record)
  if (length <= means.inlineBytes) {
    if (length < UNCOPIED_BYTES) return wholePut(put, means)
    const parts = envelopeParts(key, record, crc32)
    const whole = putOf(key, parts, { put, means, replacesBytes: bytesAtKey(before) })
    const gone = [...olderDeletes(key, before), ...bodyDeletes(key, before)]
    return { operations: [whole.operation, ...gone], bytes: whole.bytes, bodyBytes: 0, sheet: undefined }
  }
  const head = encodeHeadEnvelope(key, record, crc32)
  const ofHead = { type: 'put', key, value: head, replacesBytes: bytesAtKey(before) } as const
  const replacesBytes = before.bodyBytes
  const body = putOf(bodyKeyOf(key), bodyParts(record, sha1), { put, means, replacesBytes })
  const operations = [ofHead, body.operation, ...olderDeletes(key, before)]
  return { operations, bytes: head.length, bodyBytes: body.bytes, sheet: undefined }
}

/** A small record with its values, put together on a sheet if there are any. */
function wholePut({ key, record, before }: RecordPut, { runtime, sheets }: PutMeans): RecordPuts {
  let sheet: Sheet | undefined
  const roomFor = (bytes: number) => {
    const taken = sheets?.take(bytes)
    sheet = taken?.sheet
    return taken?.room ?? new Uint8Array(bytes)
  }
  const value = encodeEnvelope(key, record, { crc32: runtime.digest.crc32, roomFor })
  const whole: Operation = { type: 'put', key, value, replacesBytes: bytesAtKey(before) }
  const isOnly = before.bodyBytes === 0 && !before.isOlder
  const operations = isOnly ? [whole] : [whole, ...olderDeletes(key, before), ...bodyDeletes(key, before)]
  return { operations, bytes: value.length, bodyBytes: 0, sheet }
}

/** Deletes a record, and its values if they lie apart. */
export function recordDeletes(key: Uint8Array, before: Extent): readonly Operation[] {
  const at = before.isOlder ? olderKeyOf(key) : key
  return [{ type: 'del', key: at, replacesBytes: before.bytes }, ...bodyDeletes(key, before)]
}

const NO_OPERATIONS: readonly Operation[] = []

/** A head is in one of two places. */
function bytesAtKey({ bytes, isOlder }: Extent): number {
  return isOlder ? 0 : bytes
}

function olderDeletes(key: Uint8Array, { bytes, isOlder }: Extent): readonly Operation[] {
  return isOlder ? [{ type: 'del', key: olderKeyOf(key), replacesBytes: bytes }] : NO_OPERATIONS
}

function bodyDeletes(key: Uint8Array, { bodyBytes }: Extent): readonly Operation[] {
  return bodyBytes === 0 ? NO_OPERATIONS : [{ type: 'del', key: bodyKeyOf(key), replacesBytes: bodyBytes }]
}

interface PutOptions {
  readonly put: RecordPut
  readonly means: PutMeans
  readonly replacesBytes: number
}

function putOf(key: Uint8Array, { front, values }: StoredParts, { put, means, replacesBytes }: PutOptions) {
  const bytes = front.length + values.length
  const [only, ...others] = put.record.siblings
  const isUncopied = put.isSettled === true && others.length === 0 && values.length >= UNCOPIED_BYTES
  if (only === undefined || !isUncopied || means.database.batchBytes === undefined) {
    const value = concatBytes([front, values])
    return { operation: { type: 'put', key, value, replacesBytes } as const, bytes }
  }
  const tail = { tail: values, tailCrc32: only.valueCrc32 }
  return { operation: { type: 'put', key, value: front, ...tail, replacesBytes } as const, bytes }
}
