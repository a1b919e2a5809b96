import type { Place, Salt } from './salt.ts'

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
export const RECORD_VERSION = 2
export const EPOCH_VERSION = 1
export const SALT_AT = 16

export const RECORD_BATCH = 1
/** Ends a segment, and names the next one. */
export const RECORD_SEAL = 2
/** What a seal takes in the file. */
export const SEAL_BYTES = RECORD_HEADER_BYTES + 8

export interface RecordHeader {
  readonly sequence: number
  readonly kind: number
  /** Every record up to this sequence was durable when this one was written. */
  readonly synced: number
  readonly metaBytes: number
  readonly count: number
  readonly bodyBytes: number
}

/** Where a record is going to be, and what it says about the ones before it. */
export interface RecordPlace extends Place {
  readonly sequence: number
  readonly salt: Salt
  readonly synced: number
}

export function recordBytes(metaBytes: number, bodyBytes: number): number {
  return align(RECORD_HEADER_BYTES + metaBytes + bodyBytes)
}

function align(bytes: number): number {
  return Math.ceil(bytes / RECORD_ALIGNMENT) * RECORD_ALIGNMENT
}
