import type { Digests } from '@atoll/core'
import {
  checksumSeed,
  storedBytes,
  type TwoParts,
  tableBytes,
  writeTable,
  writeTableOfTwo,
} from './checksum.ts'
import { DATA_PREFIX, INLINE_TAG, type Pointer, readPointer, writePointer } from './pointer.ts'
import { hasStamp, type Place, type Salt, writeStamp } from './salt.ts'

/**
 * The log is a sequence of records. A record holds a whole number of batches: a head with all keys, small values and
 * the lengths of large ones, and behind it the large values, each followed by its table of checksums. The head has a
 * checksum of its own. Integers are little-endian; a record starts at a multiple of 8.
 *
 *   0 magic u32 | 4 checksum of all of the head that follows u32 | 8 sequence u48 | 14 kind u8 | 15 version u8
 *   16 salt u64, mixed with the place | 24 synced u48 | 30 zero u16 | 32 bytes of operations u32 | 36 operations u32
 *   40 bytes of bodies u48 | 46 zero u16 | 48 operations …
 *
 * Version 1 has in place of the salt: 16 epoch u48 | 22 zero u16.
 */
export const RECORD_HEADER_BYTES = 48
export const RECORD_ALIGNMENT = 8
export const RECORD_MAGIC = 0x474c5641
const RECORD_VERSION = 2
const EPOCH_VERSION = 1
const SALT_AT = 16

export const RECORD_BATCH = 1
/** Ends a segment, and names the next one. */
export const RECORD_SEAL = 2
/** What a seal takes in the file. */
export const SEAL_BYTES = RECORD_HEADER_BYTES + 8

export const OP_SMALL = 1
export const OP_DELETE = 2
export const OP_LARGE = 3
/** A large value copied by compaction: valid only if its key still points to where it was copied from. */
export const OP_MOVE = 4
export type OpType = typeof OP_SMALL | typeof OP_DELETE | typeof OP_LARGE | typeof OP_MOVE

/**
 * How many bytes the value may have that a write takes the place of, as far as its writer knows; undefined if it does
 * not know.
 */
export type Replaces = number | undefined

/** An operation on its way to the log. */
export type Op =
  | {
      readonly type: typeof OP_SMALL
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly replaces: Replaces
    }
  | {
      readonly type: typeof OP_LARGE
      readonly key: Uint8Array
      readonly value: Uint8Array
      /** The rest of the value, if it comes in two parts; the first is shorter than a chunk then. */
      readonly tail: Uint8Array | undefined
      readonly tailCrc32: number | undefined
      readonly replaces: Replaces
    }
  | { readonly type: typeof OP_DELETE; readonly key: Uint8Array; readonly replaces: Replaces }
  | {
      readonly type: typeof OP_MOVE
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly from: Pointer
    }

/** An operation that is in the log, as the inner database needs it. */
export interface LoggedOp {
  readonly type: OpType
  /** The key in the inner database. */
  readonly key: Uint8Array
  /** The same as a string, byte by byte: for maps. */
  readonly id: string
  /** What the inner database holds for a small value. */
  readonly inline: Uint8Array | undefined
  /** Where a large value lies. */
  readonly pointer: Pointer | undefined
  /** Where a moved value was. */
  readonly from: Pointer | undefined
  /** Not in the log: unknown of what is read from there. */
  readonly replaces: Replaces
}

export interface RecordHeader {
  readonly sequence: number
  readonly kind: number
  /** Every record up to this sequence was durable when this one was written. */
  readonly synced: number
  readonly metaBytes: number
  readonly count: number
  readonly bodyBytes: number
}

/** Bytes an operation takes in the head of a record. */
export function metaBytesOf(op: Op): number {
  const keyed = 1 + 4 + 1 + op.key.length
  if (op.type === OP_DELETE) return keyed
  if (op.type === OP_SMALL) return keyed + 4 + 1 + op.value.length
  return keyed + 6 + (op.type === OP_MOVE ? 22 : 0)
}

/** Bytes an operation takes behind the head. */
export function bodyBytesOf(op: Op): number {
  if (op.type === OP_MOVE) return storedBytes(op.value.length)
  return op.type === OP_LARGE ? storedBytes(lengthOf(op)) : 0
}

function lengthOf({ value, tail }: { value: Uint8Array; tail: Uint8Array | undefined }): number {
  return tail === undefined ? value.length : value.length + tail.length
}

export function recordBytes(metaBytes: number, bodyBytes: number): number {
  return align(RECORD_HEADER_BYTES + metaBytes + bodyBytes)
}

export function align(bytes: number): number {
  return Math.ceil(bytes / RECORD_ALIGNMENT) * RECORD_ALIGNMENT
}

/** Where a record is going to be, and what it says about the ones before it. */
export interface RecordPlace extends Place {
  readonly sequence: number
  readonly salt: Salt
  readonly synced: number
}

export interface EncodedRecord {
  readonly buffers: readonly Uint8Array[]
  readonly bytes: number
  readonly ops: readonly LoggedOp[]
}

/** Values from this size on are written from where they are; smaller ones are gathered in one buffer first. */
const COPY_BELOW_BYTES = 64 * 1024

/**
 * A record that is to be written at a place. Its small values may lie in `spare`, which is free again when the record is
 * written; what is left of the record in memory has none of them.
 */
export function encodeBatch(
  crc32: Digests['crc32'],
  ops: readonly Op[],
  place: RecordPlace,
  spare?: Buffer,
): EncodedRecord {
  let metaBytes = 0
  let bodyBytes = 0
  let passedBytes = 0
  for (const op of ops) {
    metaBytes += metaBytesOf(op)
    bodyBytes += bodyBytesOf(op)
    passedBytes += passedBytesOf(op)
  }
  const head = Buffer.allocUnsafe(RECORD_HEADER_BYTES + metaBytes)
  const areaBytes = bodyBytes - passedBytes + RECORD_ALIGNMENT
  const area = spare !== undefined && areaBytes <= spare.length ? spare : Buffer.allocUnsafe(areaBytes)
  const bodies = new Bodies(crc32, place, { offset: place.offset + head.length, area })
  const writer = new HeadWriter(head, bodies)
  const logged = ops.map((op) => writer.write(op))
  writeHeader(crc32, head, { place, kind: RECORD_BATCH, metaBytes, count: ops.length, bodyBytes })
  const bytes = recordBytes(metaBytes, bodyBytes)
  const buffers = [head, ...bodies.padded(bytes - head.length - bodyBytes)]
  return { buffers, bytes, ops: logged }
}

/** Bytes that are written from where they are. */
function passedBytesOf(op: Op): number {
  if (op.type === OP_SMALL || op.type === OP_DELETE) return 0
  const tail = op.type === OP_LARGE ? op.tail : undefined
  if (tail !== undefined) return op.value.length + tail.length
  return isPassed(op.value) ? op.value.length : 0
}

function isPassed(value: Uint8Array): boolean {
  return value.length >= COPY_BELOW_BYTES
}

export function encodeSeal(crc32: Digests['crc32'], nextSlot: number, place: RecordPlace): Uint8Array {
  const seal = Buffer.alloc(SEAL_BYTES)
  seal.writeUInt32LE(nextSlot, RECORD_HEADER_BYTES)
  writeHeader(crc32, seal, { place, kind: RECORD_SEAL, metaBytes: 8, count: 0, bodyBytes: 0 })
  return seal
}

/** What a head says beside its operations. */
interface Heading extends Omit<RecordHeader, 'sequence' | 'synced'> {
  readonly place: RecordPlace
}

function writeHeader(crc32: Digests['crc32'], head: Buffer, header: Heading): void {
  const { place } = header
  head.fill(0, 0, RECORD_HEADER_BYTES)
  head.writeUInt32LE(RECORD_MAGIC, 0)
  head.writeUIntLE(place.sequence, 8, 6)
  head[14] = header.kind
  head[15] = RECORD_VERSION
  writeStamp(head, SALT_AT, place)
  head.writeUIntLE(place.synced, 24, 6)
  head.writeUInt32LE(header.metaBytes, 32)
  head.writeUInt32LE(header.count, 36)
  head.writeUIntLE(header.bodyBytes, 40, 6)
  head.writeUInt32LE(crc32(head.subarray(8)), 4)
}

/** Writes operations into the head of a record, one after the other. */
class HeadWriter {
  readonly #head: Buffer
  readonly #bodies: Bodies
  #at = RECORD_HEADER_BYTES

  constructor(head: Buffer, bodies: Bodies) {
    this.#head = head
    this.#bodies = bodies
  }

  write(op: Op): LoggedOp {
    const { type } = op
    this.#head[this.#at] = type
    const key = this.#tagged(DATA_PREFIX, op.key, this.#at + 1)
    const id = this.#head.toString('latin1', this.#at - key.length, this.#at)
    if (type === OP_DELETE) {
      return { type, key, id, inline: undefined, pointer: undefined, from: undefined, replaces: op.replaces }
    }
    if (type === OP_SMALL) {
      const inline = this.#tagged(INLINE_TAG, op.value, this.#at)
      return { type, key, id, inline, pointer: undefined, from: undefined, replaces: op.replaces }
    }
    const { value } = op
    const tail = type === OP_LARGE ? op.tail : undefined
    this.#head.writeUIntLE(lengthOf({ value, tail }), this.#at, 6)
    this.#at += 6
    const from = type === OP_MOVE ? op.from : undefined
    if (from !== undefined) {
      writePointer(from, this.#head, this.#at)
      this.#at += 22
    }
    const tailCrc32 = type === OP_LARGE ? op.tailCrc32 : undefined
    const pointer =
      tail === undefined
        ? this.#bodies.add(key, value)
        : this.#bodies.addTwo(key, { head: value, tail, tailCrc32 })
    const replaces = type === OP_LARGE ? op.replaces : undefined
    return { type, key, id, inline: undefined, pointer, from, replaces }
  }

  /** Writes the length of a tag and `bytes`, and both; returns these two as they stand in the head. */
  #tagged(tag: number, bytes: Uint8Array, at: number): Uint8Array {
    const head = this.#head
    const length = bytes.length + 1
    head.writeUInt32LE(length, at)
    head[at + 4] = tag
    head.set(bytes, at + 5)
    this.#at = at + 4 + length
    // Not `subarray`, which makes a Buffer and takes three times as long.
    return new Uint8Array(head.buffer, head.byteOffset + at + 4, length)
  }
}

/** Gathers the large values of a record, each with its table: those that are copied, and the tables, lie in the area. */
class Bodies {
  readonly #buffers: Uint8Array[] = []
  readonly #crc32: Digests['crc32']
  readonly #place: RecordPlace
  readonly #area: Buffer
  #offset: number
  /** From where on the area is not among the buffers yet, and up to where it is filled. */
  #from = 0
  #at = 0

  constructor(
    crc32: Digests['crc32'],
    place: RecordPlace,
    { offset, area }: { offset: number; area: Buffer },
  ) {
    this.#crc32 = crc32
    this.#place = place
    this.#offset = offset
    this.#area = area
  }

  add(key: Uint8Array, value: Uint8Array): Pointer {
    const { seed, pointer } = this.#begin(key, value.length)
    if (isPassed(value)) this.#pass(value)
    else {
      this.#area.set(value, this.#at)
      this.#at += value.length
    }
    writeTable(this.#crc32, value, { seed, target: this.#area, at: this.#at })
    this.#at += tableBytes(value.length)
    return pointer
  }

  addTwo(key: Uint8Array, parts: TwoParts): Pointer {
    const { head, tail } = parts
    const bytes = head.length + tail.length
    const { seed, pointer } = this.#begin(key, bytes)
    this.#pass(head)
    this.#pass(tail)
    writeTableOfTwo(this.#crc32, parts, { seed, target: this.#area, at: this.#at })
    this.#at += tableBytes(bytes)
    return pointer
  }

  /** All of it, with as many zeros behind it. */
  padded(zeros: number): readonly Uint8Array[] {
    this.#area.fill(0, this.#at, this.#at + zeros)
    this.#at += zeros
    this.#cut()
    return this.#buffers
  }

  #pass(bytes: Uint8Array): void {
    this.#cut()
    this.#buffers.push(bytes)
  }

  #cut(): void {
    if (this.#at > this.#from) this.#buffers.push(this.#area.subarray(this.#from, this.#at))
    this.#from = this.#at
  }

  #begin(key: Uint8Array, bytes: number): { seed: number; pointer: Pointer } {
    const { slot, sequence } = this.#place
    const pointer = { slot, offset: this.#offset, bytes, sequence }
    this.#offset += storedBytes(bytes)
    return { seed: checksumSeed(this.#crc32, key, sequence), pointer }
  }
}

/** The header in the first bytes of `bytes`, if it looks like one; its checksum is not tested yet. */
export function readHeader(bytes: Buffer): RecordHeader | undefined {
  if (bytes.length < RECORD_HEADER_BYTES || bytes.readUInt32LE(0) !== RECORD_MAGIC) return undefined
  if (bytes[15] !== RECORD_VERSION && bytes[15] !== EPOCH_VERSION) return undefined
  return {
    sequence: bytes.readUIntLE(8, 6),
    kind: bytes[14] ?? 0,
    synced: bytes.readUIntLE(24, 6),
    metaBytes: bytes.readUInt32LE(32),
    count: bytes.readUInt32LE(36),
    bodyBytes: bytes.readUIntLE(40, 6),
  }
}

/**
 * Whose records count: those of the opening that drew this salt; or, where the last program to write here knew no salts,
 * those of its opening, which had this number.
 */
export type Origin = { readonly salt: Salt } | { readonly epoch: number }

/** True if the head belongs to a record that was written at this place by the opening that is asked for. */
export function comesFrom(origin: Origin, head: Buffer, place: Place): boolean {
  if ('salt' in origin) return head[15] === RECORD_VERSION && hasStamp(head, SALT_AT, { ...origin, ...place })
  return head[15] === EPOCH_VERSION && head.readUIntLE(SALT_AT, 6) >= origin.epoch
}

/** True if the head, of its exact length, has its checksum. */
export function headIsSound(crc32: Digests['crc32'], head: Buffer): boolean {
  return head.readUInt32LE(4) === crc32(head.subarray(8))
}

export function readNextSlot(seal: Buffer): number {
  return seal.readUInt32LE(RECORD_HEADER_BYTES)
}

/** The operations of a sound head. Their keys and small values lie in `head` itself. */
export function readOps(
  head: Buffer,
  header: RecordHeader,
  place: { slot: number; offset: number },
): LoggedOp[] {
  const ops: LoggedOp[] = []
  let at = RECORD_HEADER_BYTES
  let body = place.offset + head.length
  for (let index = 0; index < header.count; index++) {
    const type = head[at]
    const keyEnd = at + 5 + head.readUInt32LE(at + 1)
    const key = head.subarray(at + 5, keyEnd)
    const id = head.toString('latin1', at + 5, keyEnd)
    at = keyEnd
    if (type === OP_DELETE) {
      ops.push({ type, key, id, inline: undefined, pointer: undefined, from: undefined, replaces: undefined })
    } else if (type === OP_SMALL) {
      const end = at + 4 + head.readUInt32LE(at)
      const inline = head.subarray(at + 4, end)
      ops.push({ type, key, id, inline, pointer: undefined, from: undefined, replaces: undefined })
      at = end
    } else {
      const bytes = head.readUIntLE(at, 6)
      const pointer = { slot: place.slot, offset: body, bytes, sequence: header.sequence }
      body += storedBytes(bytes)
      at += 6
      const moved = type === OP_MOVE
      const from = moved ? readPointer(head, at) : undefined
      if (moved) at += 22
      const kind = moved ? OP_MOVE : OP_LARGE
      ops.push({ type: kind, key, id, inline: undefined, pointer, from, replaces: undefined })
    }
  }
  return ops
}
