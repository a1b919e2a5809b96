import { AtollError, type Digests, equalBytes, utf8 } from '@atoll/core'
import { asBuffer } from './pointer.ts'
import { SEAL_BYTES } from './record.ts'

/** Records start behind the first page of a segment, which is written once and says whose it is. */
export const FIRST_RECORD_OFFSET = 4096
const MAGIC = utf8('ATOLLSEG')
const VERSION = 1
/** Magic, version u32, slot u32, identity of 16 bytes, size u48, zero u16, checksum u32. */
const HEADER_BYTES = 44

const NAME = /^([0-9a-f]{8})\.segment$/

export function segmentName(slot: number): string {
  return `${slot.toString(16).padStart(8, '0')}.segment`
}

/** The number of a segment file; `undefined` for a name that no segment has. */
export function slotOfName(name: string): number | undefined {
  const digits = NAME.exec(name)?.[1]
  return digits === undefined ? undefined : Number.parseInt(digits, 16)
}

/** Size of a segment file that takes records of `recordBytes` in all. */
export function sizeForRecords(recordBytes: number): number {
  return Math.ceil((FIRST_RECORD_OFFSET + recordBytes + SEAL_BYTES) / 4096) * 4096
}

export interface SegmentHeader {
  readonly slot: number
  readonly identity: Uint8Array
  readonly sizeBytes: number
}

export function encodeSegmentHeader(crc32: Digests['crc32'], header: SegmentHeader): Uint8Array {
  const page = Buffer.alloc(FIRST_RECORD_OFFSET)
  page.set(MAGIC)
  page.writeUInt32LE(VERSION, 8)
  page.writeUInt32LE(header.slot, 12)
  page.set(header.identity, 16)
  page.writeUIntLE(header.sizeBytes, 32, 6)
  page.writeUInt32LE(crc32(page.subarray(0, 40)), 40)
  return page
}

/** The header of a segment; `undefined` if it was never finished. Throws `ATOLL_FORMAT` for a newer version. */
export function decodeSegmentHeader(crc32: Digests['crc32'], bytes: Uint8Array): SegmentHeader | undefined {
  const page = asBuffer(bytes)
  if (page.length < HEADER_BYTES || !equalBytes(page.subarray(0, 8), MAGIC)) return undefined
  if (page.readUInt32LE(40) !== crc32(page.subarray(0, 40))) return undefined
  const version = page.readUInt32LE(8)
  if (version !== VERSION) {
    throw new AtollError(
      'ATOLL_FORMAT',
      `a segment has version ${version}; this program reads version ${VERSION}`,
    )
  }
  return {
    slot: page.readUInt32LE(12),
    identity: Uint8Array.from(page.subarray(16, 32)),
    sizeBytes: page.readUIntLE(32, 6),
  }
}
