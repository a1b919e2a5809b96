import {
  decodeHead,
  decodeRecord,
  encodeHead,
  encodeRecord,
  type RecordHead,
  type StoredRecord,
} from '@atoll/causality'
import { AtollError, combineCrc32, equalBytes, KiB, keepBuffer, piecesOf } from '@atoll/core'
import type { Crc32 } from './seal.ts'

/**
 * How a record is stored: version (1 byte), CRC-32 of key, head length and head (4), head length (4), head, and the
 * values end to end. The CRC of each value stands in the head, where whoever brought the value in put it; so no byte
 * of a value is summed twice, and a value is covered from the client to the disk and back.
 *
 * Where there are many bytes of values, these lie apart, as an entry of their own: then the envelope has another version
 * and ends with the head.
 */
const VERSION = 1
const APART_VERSION = 2
const CRC_AT = 1
const LENGTH_AT = 5
const HEAD_AT = 9

/**
 * How values lie apart: version (1 byte), the first bytes of the SHA-1 of the head to which they belong, and the values end
 * to end. So a reader, who asks for the head first, knows whether a write came between.
 */
const BODY_VERSION = 1
const TAG_AT = 1
const TAG_BYTES = 8
const BODY_AT = TAG_AT + TAG_BYTES

/** How many bytes lie under the two keys of a record, at most. */
export interface Extent {
  /** Head, and the values if they are with it. */
  readonly bytes: number
  /** The values, if they lie apart. */
  readonly bodyBytes: number
  /** True if the head lies where builds before have put it. Default false. */
  readonly isOlder?: boolean | undefined
}

/** What lies under the key of a record. */
export interface StoredHead extends Extent {
  /**
   * Undefined if there is nothing, or nothing of which even the head can be read. Its values are there unless they lie
   * apart.
   */
  readonly record: RecordHead | undefined
  /** True if bytes fail their check: then `record` tells what was there, but its values must not be given out. */
  readonly corrupt: boolean
  /** Where the values lie apart: the head as it is stored, by which they know each other. */
  readonly headOfBody?: Uint8Array | undefined
}

/** What lies under both keys. */
export interface StoredState {
  /** Undefined if there is nothing, or nothing sound. */
  readonly record: StoredRecord | undefined
  readonly corrupt: boolean
}

export const UNKNOWN_EXTENT: Extent = {
  bytes: Number.MAX_SAFE_INTEGER,
  bodyBytes: Number.MAX_SAFE_INTEGER,
}
export const NOTHING_STORED: StoredHead = { record: undefined, corrupt: false, bytes: 0, bodyBytes: 0 }
export const UNREADABLE: StoredHead = { record: undefined, corrupt: true, ...UNKNOWN_EXTENT }

/** A stored value in two parts, of which the second is the values of the record as they are. */
export interface StoredParts {
  readonly front: Uint8Array
  readonly values: Uint8Array
}

/** `key` is the whole key under which the record will lie. */
export function envelopeParts(key: Uint8Array, record: StoredRecord, crc32: Crc32): StoredParts {
  const { head, body } = encodeRecord(record)
  return { front: frontOf(key, head, { version: VERSION, crc32 }), values: body }
}

/**
 * The one copy of a value on its way to the disk. `roomFor` answers that many bytes, whatever is in them; default a new
 * array.
 */
export function encodeEnvelope(
  key: Uint8Array,
  record: StoredRecord,
  { crc32, roomFor = (bytes) => new Uint8Array(bytes) }: EnvelopeWays,
): Uint8Array {
  const { head, body } = encodeRecord(record)
  const bodyAt = HEAD_AT + head.length
  const envelope = roomFor(bodyAt + body.length)
  writeFront(envelope, { key, head }, { version: VERSION, crc32 })
  envelope.set(body, bodyAt)
  return envelope
}

export interface EnvelopeWays {
  readonly crc32: Crc32
  readonly roomFor?: (bytes: number) => Uint8Array
}

/** An envelope without the values. */
export function encodeHeadEnvelope(key: Uint8Array, record: RecordHead, crc32: Crc32): Uint8Array {
  return frontOf(key, encodeHead(record), { version: APART_VERSION, crc32 })
}

/** The values without their head. */
export function bodyParts(record: StoredRecord, sha1: Sha1): StoredParts {
  const { head, body } = encodeRecord(record)
  const front = new Uint8Array(BODY_AT)
  front[0] = BODY_VERSION
  front.set(tagOf(head, sha1), TAG_AT)
  return { front, values: body }
}

/** How many bytes a record has where it is stored. */
export function storedBytes(record: RecordHead): number {
  return HEAD_AT + encodeHead(record).length + valueBytes(record)
}

/** How many bytes its values have. */
export function valueBytes({ siblings }: RecordHead): number {
  return siblings.reduce((sum, { value }) => sum + value.length, 0)
}

/** Whether an envelope has more than so many bytes of values with its head. Does not check it. */
export function isHeavy(bytes: Uint8Array, mostBytes: number): boolean {
  if (bytes.length <= HEAD_AT + mostBytes || bytes[0] !== VERSION) return false
  return bytes.length - HEAD_AT - viewOf(bytes).getUint32(LENGTH_AT) > mostBytes
}

/**
 * What lies under one key, to lie under another one. It is as sound there as it was: of what fails its check the checksum
 * is made sure to be wrong.
 */
export function movedEnvelope(
  bytes: Uint8Array,
  { from, to }: { readonly from: Uint8Array; readonly to: Uint8Array },
  crc32: Crc32,
): Uint8Array {
  const moved = new Uint8Array(bytes)
  if (moved.length < HEAD_AT) return moved
  const view = viewOf(moved)
  const summed = moved.subarray(LENGTH_AT, HEAD_AT + view.getUint32(LENGTH_AT))
  const isSound = headSum(from, summed, crc32) === view.getUint32(CRC_AT)
  const sum = headSum(to, summed, crc32)
  view.setUint32(CRC_AT, isSound ? sum : ~sum >>> 0)
  return moved
}

export interface EnvelopeMeans {
  readonly crc32: Crc32
  /** The CRC-32 of the whole envelope, if whoever read it knows that: then a single value is not summed once more. */
  readonly sum?: number | undefined
}

/** Never throws: what cannot be read is `corrupt`. The values are views of `bytes`. */
export function decodeEnvelope(key: Uint8Array, bytes: Uint8Array, means: EnvelopeMeans): StoredHead {
  const { crc32 } = means
  const version = bytes[0]
  if (bytes.length < HEAD_AT || (version !== VERSION && version !== APART_VERSION)) return UNREADABLE
  const view = viewOf(bytes)
  const bodyAt = HEAD_AT + view.getUint32(LENGTH_AT)
  if (bodyAt > bytes.length) return UNREADABLE
  const sum = headSum(key, bytes.subarray(LENGTH_AT, bodyAt), crc32)
  if (sum !== view.getUint32(CRC_AT)) return UNREADABLE
  const head = bytes.subarray(HEAD_AT, bodyAt)
  try {
    if (version === APART_VERSION) return headApart(head, bytes)
    const body = bytes.subarray(bodyAt)
    const record = decodeRecord(head, body)
    remember(body, bytes.subarray(0, bodyAt), means)
    return { record, corrupt: !isAllSound(record, crc32), bytes: bytes.length, bodyBytes: 0 }
  } catch {
    return UNREADABLE
  }
}

function headApart(head: Uint8Array, bytes: Uint8Array): StoredHead {
  if (HEAD_AT + head.length !== bytes.length) return UNREADABLE
  const record = decodeHead(head)
  const bodyBytes = BODY_AT + valueBytes(record)
  return { record, corrupt: false, bytes: bytes.length, bodyBytes, headOfBody: head }
}

export interface BodyMeans extends EnvelopeMeans {
  readonly sha1: Sha1
}

/** The record of a stored head and its values, or what is wrong with these: they fail their check, or are another's. */
export function decodeBody(
  head: Uint8Array,
  bytes: Uint8Array,
  means: BodyMeans,
): StoredRecord | 'corrupt' | 'of another' {
  if (bytes.length < BODY_AT || bytes[0] !== BODY_VERSION) return 'corrupt'
  if (!equalBytes(bytes.subarray(TAG_AT, BODY_AT), tagOf(head, means.sha1))) return 'of another'
  try {
    const body = bytes.subarray(BODY_AT)
    const record = decodeRecord(head, body)
    remember(body, bytes.subarray(0, BODY_AT), means)
    return isAllSound(record, means.crc32) ? record : 'corrupt'
  } catch {
    return 'corrupt'
  }
}

type Sha1 = (data: Uint8Array) => Uint8Array

function tagOf(head: Uint8Array, sha1: Sha1): Uint8Array {
  return sha1(head).subarray(0, TAG_BYTES)
}

interface FrontMeans {
  readonly version: number
  readonly crc32: Crc32
}

function frontOf(key: Uint8Array, head: Uint8Array, means: FrontMeans): Uint8Array {
  const front = new Uint8Array(HEAD_AT + head.length)
  writeFront(front, { key, head }, means)
  return front
}

/** Into the first bytes of `target`. */
function writeFront(
  target: Uint8Array,
  { key, head }: { readonly key: Uint8Array; readonly head: Uint8Array },
  means: FrontMeans,
): void {
  target[0] = means.version
  const view = viewOf(target)
  view.setUint32(LENGTH_AT, head.length)
  target.set(head, HEAD_AT)
  const summed = target.subarray(LENGTH_AT, HEAD_AT + head.length)
  view.setUint32(CRC_AT, headSum(key, summed, means.crc32))
}

/** From the sum of all that was read follows that of the values. */
function remember(body: Uint8Array, before: Uint8Array, { crc32, sum }: EnvelopeMeans): void {
  if (sum === undefined || body.length < REMEMBERED_BYTES) return
  sound.set(body, combineCrc32(crc32(before), sum, body.length))
}

function isAllSound({ siblings }: StoredRecord, crc32: Crc32): boolean {
  return siblings.every((sibling) => isSound(sibling, crc32))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
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

type SummedValue = Pick<StoredRecord['siblings'][number], 'value' | 'valueCrc32'>

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
