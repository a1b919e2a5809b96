import { combineCrc32 } from './crc32-combine.ts'
import type { Digests } from './runtime.ts'
import { KiB } from './units.ts'

/** Bytes are summed in pieces of this size, so that whoever needs sums of parts need not pass over them again. */
export const PIECE_BYTES = 64 * KiB

/** The CRC-32 of bytes, and of each of their pieces; the last piece may be shorter. */
export interface PieceSums {
  readonly whole: number
  readonly pieces: readonly number[]
}

const known = new WeakMap<Uint8Array, PieceSums>()

/**
 * The CRC-32 of bytes that never change again. Those of more than a piece are remembered with their sums: all who meet the
 * same object later on its way through one process, to a check or to a disk, find them by `piecesOf`.
 */
export function sumForGood(bytes: Uint8Array, crc32: Digests['crc32']): number {
  if (bytes.length < PIECE_BYTES) return crc32(bytes)
  const pieces: number[] = []
  let whole = 0
  for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
    const piece = bytes.subarray(from, from + PIECE_BYTES)
    const sum = crc32(piece)
    pieces.push(sum)
    whole = combineCrc32(whole, sum, piece.length)
  }
  known.set(bytes, { whole, pieces })
  return whole
}

/** What `sumForGood` has found of these very bytes. */
export function piecesOf(bytes: Uint8Array): PieceSums | undefined {
  return known.get(bytes)
}
