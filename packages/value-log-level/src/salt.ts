import { assert } from '@atoll/core'
import { asBuffer } from './pointer.ts'

/**
 * Random bits that every opening of a log draws anew. They stand in the head of each record that is written until it is
 * closed, mixed with the place of the record, and nowhere that a user can read. Recovery takes for a record only
 * what has the salt of the last opening: neither bytes that a user made up, nor a copy of another segment, are taken for
 * one. (SQLite tells the frames of its write-ahead log from older ones the same way.)
 */
export interface Salt {
  readonly low: number
  readonly high: number
}

export const SALT_BYTES = 8

export function saltOf(bytes: Uint8Array): Salt {
  assert(bytes.length === SALT_BYTES, `a salt has ${SALT_BYTES} bytes`)
  const buffer = asBuffer(bytes)
  return { low: buffer.readUInt32LE(0), high: buffer.readUInt32LE(4) }
}

export interface Place {
  readonly slot: number
  readonly offset: number
}

/** Writes the salt, as it is in a record at `place`, to `head` at `at`. */
export function writeStamp(head: Buffer, at: number, { salt, slot, offset }: Place & { salt: Salt }): void {
  head.writeUInt32LE(lowOf(salt, offset), at)
  head.writeUInt32LE(highOf(salt, slot), at + 4)
}

export function hasStamp(head: Buffer, at: number, { salt, slot, offset }: Place & { salt: Salt }): boolean {
  return head.readUInt32LE(at) === lowOf(salt, offset) && head.readUInt32LE(at + 4) === highOf(salt, slot)
}

/** Records start at multiples of 8, so that the offset loses nothing. */
function lowOf(salt: Salt, offset: number): number {
  return (salt.low ^ Math.floor(offset / 8)) >>> 0
}

function highOf(salt: Salt, slot: number): number {
  return (salt.high ^ slot) >>> 0
}
