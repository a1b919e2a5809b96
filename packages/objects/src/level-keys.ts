import { assert, concatBytes, type KeyId, utf8 } from '@atoll/core'
import type { KvStoreScan } from './ports.ts'

/** What the first byte of a database key says. */
const RECORD = 0x01
const INDEX = 0x02
const COUNTER = 0x03

const TERMINATOR = new Uint8Array([0x00, 0x01])

/** Where the counter of writes is kept. */
export const COUNTER_KEY: Uint8Array = new Uint8Array([COUNTER])

/** A part of an index key. */
export interface IndexTerm {
  readonly index: string
  readonly scope: Uint8Array
  readonly term: Uint8Array
}

export interface IndexPosition {
  readonly term: Uint8Array
  readonly bucket: Uint8Array
  readonly key: Uint8Array
}

export function recordKey({ type, bucket, key, place }: KeyId): Uint8Array {
  assert(place === undefined, 'the object layer names no places of keys')
  return concatBytes([new Uint8Array([RECORD]), part(utf8(type)), part(bucket), key])
}

/** Sorts by type, index, scope, term, bucket and key. */
export function indexKey({ type, bucket, key }: KeyId, { index, scope, term }: IndexTerm): Uint8Array {
  return concatBytes([indexPrefix({ type, index, scope }), part(term), part(bucket), key])
}

export function indexPrefix({
  type,
  index,
  scope,
}: Pick<KvStoreScan, 'type' | 'index' | 'scope'>): Uint8Array {
  return concatBytes([new Uint8Array([INDEX]), part(utf8(type)), part(utf8(index)), part(scope)])
}

/** Smaller than the key of every entry with this term or a greater one, greater than all with a smaller one. */
export function termBound(prefix: Uint8Array, term: Uint8Array): Uint8Array {
  return concatBytes([prefix, escaped(term)])
}

/** What stands behind the prefix of an index key. */
export function positionOf(indexKeyBytes: Uint8Array, prefix: Uint8Array): IndexPosition {
  const term = readPart(indexKeyBytes, prefix.length)
  const bucket = readPart(indexKeyBytes, term.end)
  return { term: term.bytes, bucket: bucket.bytes, key: new Uint8Array(indexKeyBytes.subarray(bucket.end)) }
}

/** Keeps the order of bytes: 00 becomes 00 FF, and 00 01, which is smaller, ends the part. */
function part(bytes: Uint8Array): Uint8Array {
  return concatBytes([escaped(bytes), TERMINATOR])
}

function escaped(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(0)) return bytes
  return Uint8Array.from([...bytes].flatMap((byte) => (byte === 0 ? [0, 0xff] : [byte])))
}

/** The part that begins at `start`, and where the next one begins. */
function readPart(bytes: Uint8Array, start: number): { readonly bytes: Uint8Array; readonly end: number } {
  const zeros: number[] = []
  let at = bytes.indexOf(0, start)
  while (at >= 0 && bytes[at + 1] === 0xff) {
    zeros.push(at - start)
    at = bytes.indexOf(0, at + 2)
  }
  const whole = new Uint8Array(bytes.subarray(start, at))
  if (zeros.length === 0) return { bytes: whole, end: at + TERMINATOR.length }
  return { bytes: whole.filter((_, offset) => !zeros.includes(offset - 1)), end: at + TERMINATOR.length }
}
