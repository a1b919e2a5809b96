import { decodeRecord, encodeRecord, type Sibling, type StoredRecord } from '@atoll/causality'
import { AtollError, combineCrc32, concatBytes, KiB, keepBuffer, piecesOf } from '@atoll/core'
import type { Crc32 } from './seal.ts'

/**
 * How a record is stored: version (1 byte), CRC-32 of key, head length and head (4), head length (4), head, and the
 * values end to end. The CRC of each value stands in the head, where whoever brought the value in put it; so no byte
 * of a value is summed twice, and a value is covered from the client to the disk and back.
 */
const VERSION = 1
const CRC_AT = 1
const LENGTH_AT = 5
const HEAD_AT = 9

/** What lies under a key. */
export interface StoredState {
  /** Undefined if there is nothing, or nothing of which even the head can be read. */
  readonly record: StoredRecord | undefined
  /** True if bytes fail their check: then `record` tells what was there, but its values must not be given out. */
  readonly corrupt: boolean
  /** How many bytes lie there, at most. */
  readonly bytes: number
}

export const NOTHING_STORED: StoredState = { record: undefined, corrupt: false, bytes: 0 }
export const UNREADABLE: StoredState = { record: undefined, corrupt: true, bytes: Number.MAX_SAFE_INTEGER }

/** An envelope in two parts, of which the second is the values as they are. */
export interface EnvelopeParts {
  readonly front: Uint8Array
  readonly body: Uint8Array
}

/** `key` is the whole key under which the record will lie. */
export function envelopeParts(key: Uint8Array, record: StoredRecord, crc32: Crc32): EnvelopeParts {
  const { head, body } = encodeRecord(record)
  const front = new Uint8Array(HEAD_AT + head.length)
  front[0] = VERSION
  const view = new DataView(front.buffer)
  view.setUint32(LENGTH_AT, head.length)
  front.set(head, HEAD_AT)
  view.setUint32(CRC_AT, headSum(key, front.subarray(LENGTH_AT), crc32))
  return { front, body }
}

/** How long the envelope of a record is. */
export function envelopeBytes(record: StoredRecord): number {
  const bodyBytes = record.siblings.reduce((sum, { value }) => sum + value.length, 0)
  return HEAD_AT + encodeRecord(record).head.length + bodyBytes
}

/** The one copy of a value on its way to the disk. */
export function encodeEnvelope(key: Uint8Array, record: StoredRecord, crc32: Crc32): Uint8Array {
  const { front, body } = envelopeParts(key, record, crc32)
  return concatBytes([front, body])
}

export interface EnvelopeMeans {
  readonly crc32: Crc32
  /** The CRC-32 of the whole envelope, if whoever read it knows that: then a single value is not summed once more. */
  readonly sum?: number | undefined
}

/** Never throws: what cannot be read is `corrupt`. The values are views of `bytes`. */
export function decodeEnvelope(key: Uint8Array, bytes: Uint8Array, means: EnvelopeMeans): StoredState {
  const { crc32 } = means
  if (bytes.length < HEAD_AT || bytes[0] !== VERSION) return UNREADABLE
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const bodyAt = HEAD_AT + view.getUint32(LENGTH_AT)
  if (bodyAt > bytes.length) return UNREADABLE
  const sum = headSum(key, bytes.subarray(LENGTH_AT, bodyAt), crc32)
  if (sum !== view.getUint32(CRC_AT)) return UNREADABLE
  try {
    const body = bytes.subarray(bodyAt)
    const record = decodeRecord(bytes.subarray(HEAD_AT, bodyAt), body)
    if (means.sum !== undefined && body.length >= REMEMBERED_BYTES)
      sound.set(body, combineCrc32(crc32(bytes.subarray(0, bodyAt)), means.sum, body.length))
    const corrupt = !record.siblings.every((sibling) => isSound(sibling, crc32))
    return { record, corrupt, bytes: bytes.length }
  } catch {
    return UNREADABLE
  }
}

/** Throws `ATOLL_CORRUPT` unless every value is the one of which the record has the checksum. */
export function checkValues(record: StoredRecord, crc32: Crc32): void {
  for (const sibling of record.siblings) checkValue(sibling, crc32)
}

/** Throws `ATOLL_CORRUPT` unless `valueCrc32` is the value's checksum. */
export function checkValue(value: SummedValue, crc32: Crc32): void {
  if (!isSound(value, crc32)) throw new AtollError('ATOLL_CORRUPT', 'a value differs from its checksum')
}

/** Whoever goes on using values of a record that others have as well says so: they do not become free then. */
export function keepValues({ siblings }: StoredRecord): void {
  for (const { value } of siblings) keepBuffer(value)
}

type SummedValue = Pick<Sibling, 'value' | 'valueCrc32'>

/**
 * Values and the checksums that they were found to have. A value that goes from node to node inside one process is one
 * and the same object, and is summed once; what comes from a disk or a network is always another one.
 */
const sound = new WeakMap<Uint8Array, number>()

/** Smaller ones are summed again: to remember one costs as much as to sum 4 KiB. */
const REMEMBERED_BYTES = 16 * KiB

function isSound({ value, valueCrc32 }: SummedValue, crc32: Crc32): boolean {
  if (value.length >= REMEMBERED_BYTES && knownSum(value) === valueCrc32) return true
  if (crc32(value) !== valueCrc32) return false
  if (value.length >= REMEMBERED_BYTES) sound.set(value, valueCrc32)
  return true
}

function knownSum(value: Uint8Array): number | undefined {
  return sound.get(value) ?? piecesOf(value)?.whole
}

function headSum(key: Uint8Array, lengthAndHead: Uint8Array, crc32: Crc32): number {
  return crc32(lengthAndHead, crc32(key))
}
