import {
  concatBytes,
  EMPTY_BYTES,
  fromUtf8,
  type KeyId,
  keyText,
  nameBytes,
  placeOf,
  utf8,
} from '@atoll/core'
import { IndexSpace } from './index-space.ts'
import { decodeKey, encodeKey, encodePrefix, endOfPrefix, endOfSublevel, type KeyRange } from './keys.ts'
import { SEGMENT_BYTES, segmentOf } from './segment.ts'

const PARTITION_DIGITS = 4
const PARTITION_AT = 1
/** Where the name of a sublevel of a partition begins, behind `!0000!!`, and where the rest of a key does. */
const NAME_AT = PARTITION_DIGITS + 3
const REST_AT = NAME_AT + 5
/** Sublevels of a partition, named by four letters each. */
const HEADS = utf8('head')
const OLDER_HEADS = utf8('data')
const BODIES = utf8('body')
/** Behind a whole key: makes the least key that is greater. */
const ZERO = new Uint8Array([0])
const NO_SEGMENT = new Uint8Array(SEGMENT_BYTES)
const PART_END_BYTES = 2
const MAX_FRONTS = 64
/** Before what stands behind the prefix of a key in `head`, in a cursor. Those of `data` begin with a type. */
const HEAD_CURSOR = new Uint8Array([0xff])

/** Where the host notes whose database this is: key `format` of the sublevel `meta`. */
export const FORMAT_KEY: Uint8Array = utf8('!meta!format')
/** Under this key there is never anything: it is deleted to see whether writes go through. */
export const NOTHING_KEY: Uint8Array = utf8('!meta!nothing')

/** Where the values of a record lie that are apart from its head: in `body`. The key is one of `head` or of `data`. */
export function bodyKeyOf(key: Uint8Array): Uint8Array {
  return withName(BODIES, key)
}

/** Where a build before has put the head that this one has under a key of `head`. */
export function olderKeyOf(dataKey: Uint8Array): Uint8Array {
  return withName(OLDER_HEADS, dataKey)
}

/** The partition of a key in any sublevel of one. */
export function partitionOfKey(key: Uint8Array): number {
  let partition = 0
  for (let at = PARTITION_AT; at < PARTITION_AT + PARTITION_DIGITS; at++)
    partition = partition * 10 + (key[at] ?? 0) - 0x30
  return partition
}

/** A range of heads. */
export interface HeadSpace {
  readonly range: KeyRange
  typeRange(type: string): KeyRange
}

/**
 * Where things lie in the database. A partition is a sublevel named by its number in four digits, with sublevels of its own:
 *
 * - `head`: records, with type, segment and the rest of the name. The *segment*, two bytes of a hash of the whole name,
 *   stands behind the type, so that the records of a type that are in one segment are a range of keys;
 * - `body`: values that lie apart from their heads, by name alone, as they did before there were segments;
 * - `notes`: of records that have changed while the vnode was copied, by name alone;
 * - `meta`.
 *
 * A *name* is the tuple (type, bucket, key), or (type, nothing, bucket, place, key) for a key with a place: no bucket has an
 * empty name. Builds before have put heads into `data`, by name alone, and index entries into `index`; the latter stand
 * among those of the whole node now (`NODE_INDEX`). Keys are written out in full here, byte for byte as sublevels would
 * write them, which spares a batch the way through those.
 */
export class VnodeLayout {
  readonly partition: number
  /** Where a build before has put the index entries of the partition. */
  readonly ownIndex: IndexSpace
  readonly #heads: Uint8Array
  /** By type. */
  readonly #fronts = new Map<string, Uint8Array>()
  readonly #olderHeads: Uint8Array
  readonly #notes: Uint8Array
  readonly #meta: string

  constructor(partition: number) {
    this.partition = partition
    const name = partition.toString().padStart(PARTITION_DIGITS, '0')
    this.#heads = utf8(`!${name}!!head!`)
    this.#olderHeads = utf8(`!${name}!!data!`)
    this.ownIndex = IndexSpace.ofPartition(partition, `!${name}!`)
    this.#notes = utf8(`!${name}!!notes!`)
    this.#meta = `!${name}!!meta!`
  }

  /** The key of the note in which a vnode keeps its name as an actor. */
  get incarnationKey(): Uint8Array {
    return utf8(`${this.#meta}incarnation`)
  }

  /** The key of the note that says how far the vnode is on its way to another node. */
  get transferKey(): Uint8Array {
    return utf8(`${this.#meta}transfer`)
  }

  /** The key of the note that says how far the refill `name` has come. */
  refillKey(name: string): Uint8Array {
    return utf8(`${this.#meta}refill ${name}`)
  }

  /** Notes of records that have changed while the vnode was copied. */
  get noteRange(): KeyRange {
    return { gte: this.#notes, lt: endOfSublevel(this.#notes) }
  }

  /** Where a change of a record is noted. */
  noteKey(dataKey: Uint8Array): Uint8Array {
    return concatBytes([this.#notes, nameBytesOf(dataKey)])
  }

  /** The other way round. */
  dataKeyOf(noteKey: Uint8Array): Uint8Array {
    return this.dataKeyAt(noteKey.subarray(this.#notes.length))
  }

  /** The key of the record with that name. */
  dataKeyAt(name: Uint8Array): Uint8Array {
    const typeEnd = name.indexOf(0) + PART_END_BYTES
    const key = concatBytes([this.#heads, name.subarray(0, typeEnd), NO_SEGMENT, name.subarray(typeEnd)])
    return withSegment(key, REST_AT + typeEnd)
  }

  /** By which maps know a record, whichever of its keys is given. */
  textOf(key: Uint8Array): string {
    return keyText(isOlder(key) ? this.dataKeyAt(nameBytesOf(key)) : key)
  }

  /** Where the heads lie. */
  get heads(): HeadSpace {
    return spaceOf(this.#heads)
  }

  /** Where builds before have put them. */
  get olderHeads(): HeadSpace {
    return spaceOf(this.#olderHeads)
  }

  /** Where heads lie, in the order in which whoever walks over them misses none that is moved meanwhile. */
  spaces(hasOlder: boolean): readonly HeadSpace[] {
    return hasOlder ? [this.olderHeads, this.heads] : [this.heads]
  }

  /** A place in the walk over all heads, for `rangesAfter`: it holds also when heads have been moved. */
  cursorOf(key: Uint8Array): Uint8Array {
    const rest = key.subarray(REST_AT)
    return isOlder(key) ? new Uint8Array(rest) : concatBytes([HEAD_CURSOR, rest])
  }

  /** The heads behind a cursor, of one bucket type if it is named; all of them without either. */
  rangesAfter(
    cursor: Uint8Array | undefined,
    { hasOlder, type }: { readonly hasOlder: boolean; readonly type?: string | undefined },
  ): readonly KeyRange[] {
    const rangeIn = (space: HeadSpace) => (type === undefined ? space.range : space.typeRange(type))
    const heads = rangeIn(this.heads)
    const older = hasOlder ? rangeIn(this.olderHeads) : undefined
    if (cursor !== undefined && cursor[0] === HEAD_CURSOR[0])
      return [{ ...heads, gte: concatBytes([this.#heads, cursor.subarray(HEAD_CURSOR.length), ZERO]) }]
    if (older === undefined) return [heads]
    if (cursor === undefined) return [older, heads]
    return [{ ...older, gte: concatBytes([this.#olderHeads, cursor, ZERO]) }, heads]
  }

  /** The values that lie apart from their heads. */
  get bodies(): HeadSpace {
    return spaceOf(bodyKeyOf(this.#olderHeads))
  }

  dataKey(id: KeyId): Uint8Array {
    const front = this.#frontOf(id.type)
    return withSegment(encodeKey(front, partsOf(id), id.key), front.length - SEGMENT_BYTES)
  }

  /** What the heads of a type begin with, and room for the segment. */
  #frontOf(type: string): Uint8Array {
    const known = this.#fronts.get(type)
    if (known !== undefined) return known
    const front = encodeKey(this.#heads, [nameBytes(type)], NO_SEGMENT)
    if (this.#fronts.size < MAX_FRONTS) this.#fronts.set(type, front)
    return front
  }

  /** The other way round, of a key in any sublevel of heads or values. Throws `ATOLL_CORRUPT` for any other. */
  idOf(key: Uint8Array): KeyId {
    const { parts, last } = decodeKey(nameBytesOf(key), 2)
    const [type = EMPTY_BYTES, bucket = EMPTY_BYTES] = parts
    if (bucket.length > 0) return { type: fromUtf8(type), bucket, key: last }
    const placed = decodeKey(last, 2)
    const [placedBucket = EMPTY_BYTES, place = EMPTY_BYTES] = placed.parts
    return { type: fromUtf8(type), bucket: placedBucket, key: placed.last, place }
  }

  /** The same; nothing for a key that nobody has written so. */
  idsIn(key: Uint8Array): readonly KeyId[] {
    try {
      return [this.idOf(key)]
    } catch {
      return []
    }
  }
}

function partsOf(id: KeyId): readonly Uint8Array[] {
  const place = placeOf(id)
  return place === undefined ? [id.bucket] : [EMPTY_BYTES, id.bucket, place]
}

function spaceOf(head: Uint8Array): HeadSpace {
  return {
    range: { gte: head, lt: endOfSublevel(head) },
    typeRange: (type) => {
      const prefix = encodePrefix(head, [utf8(type)])
      return { gte: prefix, lt: endOfPrefix(prefix) }
    },
  }
}

/** The first letters of their names tell the sublevels apart. */
function isHead(key: Uint8Array): boolean {
  return key[NAME_AT] === HEADS[0]
}

function isOlder(key: Uint8Array): boolean {
  return key[NAME_AT] === OLDER_HEADS[0]
}

/** The name of a record as bytes. The key is one of any sublevel of heads or values. */
export function nameBytesOf(key: Uint8Array): Uint8Array {
  if (!isHead(key)) return new Uint8Array(key.subarray(REST_AT))
  const typeEnd = key.indexOf(0, REST_AT) + PART_END_BYTES
  return concatBytes([key.subarray(REST_AT, typeEnd), key.subarray(typeEnd + SEGMENT_BYTES)])
}

function withName(name: Uint8Array, key: Uint8Array): Uint8Array {
  const front = new Uint8Array(key.subarray(0, REST_AT))
  front.set(name, NAME_AT)
  return concatBytes([front, nameBytesOf(key)])
}

/** A type has no zero byte, so its end is found. */
function withSegment(key: Uint8Array, at: number): Uint8Array {
  const segment = segmentOf(key, REST_AT, at)
  key[at] = segment >>> 8
  key[at + 1] = segment
  return key
}
