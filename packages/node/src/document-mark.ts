import { type Digests, equalBytes } from '@atoll/core'

/**
 * The fact by which a node tells which document it goes by. Two documents of one epoch may differ, when copies have
 * decided or operators have forced on both sides of a partition; by their epochs alone nobody would look for the other.
 */
export const DOCUMENT_MARK = 'document'

const EPOCH_BYTES = 8
const DIGEST_BYTES = 8

/** The epoch, and 8 bytes of the SHA-1 of the document. */
export function markOf(epoch: number, document: Uint8Array, sha1: Digests['sha1']): Uint8Array {
  const mark = new Uint8Array(EPOCH_BYTES + DIGEST_BYTES)
  new DataView(mark.buffer).setBigUint64(0, BigInt(epoch))
  mark.set(sha1(document).subarray(0, DIGEST_BYTES), EPOCH_BYTES)
  return mark
}

/**
 * Whether two marks are of different documents of one epoch. Whoever tells none, as a build of before, contradicts
 * nobody.
 */
export function contradict(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  if (one?.length !== EPOCH_BYTES + DIGEST_BYTES || one.length !== other?.length) return false
  return isSame(one, other, [0, EPOCH_BYTES]) && !isSame(one, other, [EPOCH_BYTES, one.length])
}

function isSame(
  one: Uint8Array,
  other: Uint8Array,
  [from, to]: readonly [from: number, to: number],
): boolean {
  return equalBytes(one.subarray(from, to), other.subarray(from, to))
}
