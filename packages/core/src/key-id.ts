import { equalBytes } from './bytes.ts'
import type { TupleReader } from './codec.ts'
import { AtollError, messageOf } from './errors.ts'
import type { TupleValue } from './msgpack.ts'
import { checkBytes, checkText } from './validate.ts'

/**
 * The full name of a record in the key-value layer. A key-value bucket has a type, which carries its properties
 * (n, quorums, merge strategy). The type "default" places keys as Riak places untyped ones.
 */
export interface KeyId {
  /** Bucket type: 1 to 64 characters of `a-z 0-9 . _ -`. */
  readonly type: string
  /** Bucket name: 1 to 1024 bytes. */
  readonly bucket: Uint8Array
  /** Key: 1 to 4096 bytes. */
  readonly key: Uint8Array
  /**
   * What is hashed in place of the key to find the partition: 1 to 4096 bytes, default the key. Records of one type, bucket
   * and place lie in one partition, on the same replicas. It is part of the name: ids with different places are ids of
   * different records. A place that equals the key says nothing more than none.
   */
  readonly place?: Uint8Array | undefined
}

/** The bucket type of which keys are placed without naming a type. */
export const DEFAULT_TYPE = 'default'

const MAX_BUCKET_BYTES = 1024
const MAX_KEY_BYTES = 4096

/** Throws `TypeError` or `RangeError` for an id outside the limits of `KeyId`. */
export function checkKeyId({ type, bucket, key, place }: KeyId): void {
  checkKeyType(type)
  checkBytes('bucket', bucket, { min: 1, max: MAX_BUCKET_BYTES })
  checkBytes('key', key, { min: 1, max: MAX_KEY_BYTES })
  if (place !== undefined) checkBytes('place', place, { min: 1, max: MAX_KEY_BYTES })
}

/** What was found to be proper: the names of a cluster's types are few, and come with every request. */
const proper = new Set<string>()
const MAX_PROPER = 1024

/** Throws `TypeError` or `RangeError` for what is no name of a bucket type. */
export function checkKeyType(type: string): void {
  if (proper.has(type)) return
  checkText('type', type, /^[a-z0-9._-]{1,64}$/, '1 to 64 characters of a-z 0-9 . _ -')
  if (proper.size < MAX_PROPER) proper.add(type)
}

/** A key and its place, as they stand in an id or at a position of an index. */
export type PlacedKey = Pick<KeyId, 'key' | 'place'>

/** The place of a key if that is another one than the key itself. */
export function placeOf({ key, place }: PlacedKey): Uint8Array | undefined {
  return place === undefined || equalBytes(place, key) ? undefined : place
}

/**
 * One field of a tuple: the key, or a tuple of key and place. So a program that knows no places reads everything else, and
 * refuses what has one.
 */
export function packPlacedKey(placed: PlacedKey): TupleValue {
  const place = placeOf(placed)
  return place === undefined ? placed.key : [placed.key, place]
}

/** Reads what `packPlacedKey` has written. Throws `ATOLL_CORRUPT` for anything else. */
export function unpackPlacedKey(reader: TupleReader): PlacedKey {
  if (!reader.isAtTuple) return { key: reader.bytes() }
  const placed = reader.tuple()
  const [key, place] = [placed.bytes(), placed.bytes()]
  placed.end()
  return { key, place }
}

/** The three fields of an id in a message. */
export function packKeyId(id: KeyId): readonly TupleValue[] {
  return [id.type, id.bucket, packPlacedKey(id)]
}

/** Reads what `packKeyId` has written. Throws `ATOLL_CORRUPT` for an id outside the limits of `KeyId`. */
export function unpackKeyId(reader: TupleReader): KeyId {
  const id = { type: reader.string(), bucket: reader.bytes(), ...unpackPlacedKey(reader) }
  try {
    checkKeyId(id)
  } catch (cause) {
    throw new AtollError('ATOLL_CORRUPT', `a message has no proper key: ${messageOf(cause)}`, { cause })
  }
  return id
}
