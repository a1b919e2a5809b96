import type { Digests } from '@atoll/core'
import { storedBytes } from './checksum.ts'
import { type LoggedOp, OP_DELETE, OP_LARGE, OP_MOVE, OP_SMALL } from './operation.ts'
import { readPointer } from './pointer.ts'
import {
  EPOCH_VERSION,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RECORD_VERSION,
  type RecordHeader,
  SALT_AT,
} from './record.ts'
import { hasStamp, type Place, type Salt } from './salt.ts'

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
