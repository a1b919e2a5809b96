import { DEFAULT_TYPE, type KeyId, nameBytes, wrongRange } from '@atoll/core'
import { sha1 as portableSha1 } from '@noble/hashes/legacy.js'
import { checkPartitions } from './ring.ts'

/** SHA-1 of a small value, at once: 20 bytes. */
export type Sha1 = (data: Uint8Array) => Uint8Array

// Tags of the Erlang external term format: its version, a tuple of two, a binary (length in 32 bits, big-endian).
const TERM_VERSION = 131
const TUPLE = 104
const PAIR = 2
const BINARY = 109
const BINARY_HEAD_BYTES = 5

/**
 * Where a key lies in the 160-bit space: SHA-1 of the Erlang external term `{Bucket, Key}`, or `{{Type, Bucket}, Key}`
 * for any type but "default". So a key lies where Riak puts it. A place stands there instead of its key. The portable
 * digest is the default; `node:crypto` does the same faster.
 */
export function placementHash(id: KeyId, sha1: Sha1 = portableSha1): Uint8Array {
  return sha1(encodeTerm(id))
}

/** The partition that owns a hash: the next boundary above it, so that partition 0 owns the last slice of the space. */
export function responsiblePartition(hash: Uint8Array, partitions: number): number {
  checkPartitions(partitions)
  if (hash.length !== 20) throw wrongRange('hash', `must have 20 bytes, got ${hash.length}`)
  return partitionAbove(hash, partitions)
}

/** `responsiblePartition` of `placementHash`, in one call and without checks: it runs on every request. */
export function partitionOf(id: KeyId, partitions: number, sha1: Sha1 = portableSha1): number {
  return partitionAbove(recentHash(id, sha1), partitions)
}

/** A name that was hashed of late. The term is a copy of all of it. */
interface Hashed {
  readonly sha1: Sha1
  readonly term: Uint8Array
  readonly hash: Uint8Array
}

/**
 * Whoever writes a record asks where it lies when it is coordinated, and again for its index entries: so the names of late
 * are remembered, each in the place that follows from some of its bytes.
 */
const RECENT = 256
const MOST_TERM_BYTES = 256
const recent: (Hashed | undefined)[] = new Array<Hashed | undefined>(RECENT).fill(undefined)

function recentHash(id: KeyId, sha1: Sha1): Uint8Array {
  const key = id.place ?? id.key
  const { length } = key
  const slot =
    ((key[length - 1] ?? 0) + 31 * (key[length - 2] ?? 0) + 7 * (key[length >> 1] ?? 0) + length) % RECENT
  const known = recent[slot]
  if (known !== undefined && known.sha1 === sha1 && isTermOf(known.term, id)) return known.hash
  const term = encodeTerm(id)
  const hash = sha1(term)
  if (term.length <= MOST_TERM_BYTES) recent[slot] = { sha1, term, hash }
  return hash
}

/**
 * The partitions of a ring of `to` that share keys with one of a ring of `from`, in ring order: with twice as many it has
 * become two, of which the second ends where it ended.
 */
export function overlapping(partition: number, from: number, to: number): readonly number[] {
  const slice = (partition - 1 + from) % from
  const first = Math.floor((slice * to) / from)
  return Array.from({ length: Math.max(1, to / from) }, (_, at) => (first + at + 1) % to)
}

/** With 2^k partitions the slice of a hash is its first k bits; k is at most 10. */
function partitionAbove(hash: Uint8Array, partitions: number): number {
  const head = ((hash[0] ?? 0) << 8) | (hash[1] ?? 0)
  const slice = Math.floor((head * partitions) / 0x10000)
  return (slice + 1) % partitions
}

/** Whether a term is that of a name. */
function isTermOf(term: Uint8Array, id: KeyId): boolean {
  const key = id.place ?? id.key
  const type = id.type === DEFAULT_TYPE ? undefined : nameBytes(id.type)
  let at = 3
  if (type !== undefined) {
    if (term[3] !== TUPLE || !isBinary(term, 5, type)) return false
    at = 5 + BINARY_HEAD_BYTES + type.length
  }
  if (!isBinary(term, at, id.bucket)) return false
  at += BINARY_HEAD_BYTES + id.bucket.length
  return isBinary(term, at, key) && term.length === at + BINARY_HEAD_BYTES + key.length
}

/** Whether a binary stands there that has these bytes. */
function isBinary(term: Uint8Array, at: number, bytes: Uint8Array): boolean {
  const { length } = bytes
  const low = (term[at + 3] ?? 0) * 256 + (term[at + 4] ?? 0)
  if (term[at] !== BINARY || term[at + 1] !== 0 || term[at + 2] !== 0 || low !== length) return false
  for (let each = 0; each < length; each++)
    if (term[at + BINARY_HEAD_BYTES + each] !== bytes[each]) return false
  return true
}

function encodeTerm(id: KeyId): Uint8Array {
  const key = id.place ?? id.key
  const type = id.type === DEFAULT_TYPE ? undefined : nameBytes(id.type)
  const typeBytes = type === undefined ? 0 : 2 + BINARY_HEAD_BYTES + type.length
  const term = new Uint8Array(3 + typeBytes + 2 * BINARY_HEAD_BYTES + id.bucket.length + key.length)
  term[0] = TERM_VERSION
  term[1] = TUPLE
  term[2] = PAIR
  let at = 3
  if (type !== undefined) {
    term[3] = TUPLE
    term[4] = PAIR
    at = writeBinary(term, 5, type)
  }
  at = writeBinary(term, at, id.bucket)
  writeBinary(term, at, key)
  return term
}

function writeBinary(term: Uint8Array, at: number, bytes: Uint8Array): number {
  const length = bytes.length
  term[at] = BINARY
  term[at + 1] = length >>> 24
  term[at + 2] = length >>> 16
  term[at + 3] = length >>> 8
  term[at + 4] = length
  term.set(bytes, at + BINARY_HEAD_BYTES)
  return at + BINARY_HEAD_BYTES + length
}
