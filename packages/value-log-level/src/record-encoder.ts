import type { Digests } from '@atoll/core'
import {
  bodyBytesOf,
  type LoggedOp,
  lengthOf,
  metaBytesOf,
  OP_DELETE,
  OP_LARGE,
  OP_MOVE,
  OP_SMALL,
  type Op,
} from './operation.ts'
import { DATA_PREFIX, INLINE_TAG, writePointer } from './pointer.ts'
import {
  RECORD_ALIGNMENT,
  RECORD_BATCH,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RECORD_SEAL,
  RECORD_VERSION,
  type RecordHeader,
  type RecordPlace,
  recordBytes,
  SALT_AT,
  SEAL_BYTES,
} from './record.ts'
import { passedBytesOf, RecordBodies } from './record-bodies.ts'
import { writeStamp } from './salt.ts'

export interface EncodedRecord {
  readonly buffers: readonly Uint8Array[]
  readonly bytes: number
  readonly ops: readonly LoggedOp[]
}

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
  const bodies = new RecordBodies(crc32, place, { offset: place.offset + head.length, area })
  const writer = new HeadWriter(head, bodies)
  const logged = ops.map((op) => writer.write(op))
  writeHeader(crc32, head, { place, kind: RECORD_BATCH, metaBytes, count: ops.length, bodyBytes })
  const bytes = recordBytes(metaBytes, bodyBytes)
  const buffers = [head, ...bodies.padded(bytes - head.length - bodyBytes)]
  return { buffers, bytes, ops: logged }
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
  readonly #bodies: RecordBodies
  #at = RECORD_HEADER_BYTES

  constructor(head: Buffer, bodies: RecordBodies) {
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
