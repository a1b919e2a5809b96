import {
  compareBytes,
  concatBytes,
  EMPTY_BYTES,
  equalBytes,
  fromUtf8,
  type KeyId,
  nameBytes,
  type PlacedKey,
  placeOf,
  utf8,
} from '@atoll/core'
import { decodeKey, encodeKey, encodePrefix, endOfPrefix, endOfSublevel, type KeyRange } from './keys.ts'
import type { ScanPosition } from './protocol.ts'

/** What an index key is made of. */
export interface IndexPlace {
  readonly type: string
  readonly index: string
  readonly scope: Uint8Array
}

/** The part of an index that a scan asks for. */
export interface IndexWindow extends IndexPlace {
  readonly from: Uint8Array | undefined
  readonly to: Uint8Array | undefined
  readonly after: ScanPosition | undefined
}

/** What an index key says. */
export interface IndexKey extends IndexPlace {
  readonly position: ScanPosition
  readonly partition: number
}

/** Type, index and scope: before the position. */
const PLACE_PARTS = 3
/** Term and bucket: before the key. */
const POSITION_PARTS = 2
/** A partition at the end of a key, as an unsigned integer in the order of its bytes. */
const PARTITION_BYTES = 2
/** Before the place of a key that has one. No partition begins so: keys without a place come first. */
const PLACE_MARK = new Uint8Array([0xff])

/**
 * A range of index entries. In that of the node the entries of all partitions stand in one order: their keys are (type,
 * index, scope, term, bucket, key, partition), so that a scan goes along one range, and passes over partitions that it
 * is not asked for. The place of a key that has one stands behind the key. Builds before gave each partition a range of
 * its own, where the keys end with the key of the record.
 */
export class IndexSpace {
  /** The partition whose range it is; undefined for that of the node. */
  readonly owner: number | undefined
  readonly #head: Uint8Array

  private constructor(head: string, owner: number | undefined) {
    this.#head = utf8(head)
    this.owner = owner
  }

  static ofNode(): IndexSpace {
    return new IndexSpace('!meta!!index!', undefined)
  }

  /** `sublevel` is that of the partition. */
  static ofPartition(partition: number, sublevel: string): IndexSpace {
    return new IndexSpace(`${sublevel}!index!`, partition)
  }

  get range(): KeyRange {
    return { gte: this.#head, lt: endOfSublevel(this.#head) }
  }

  /** The entries of one bucket type. */
  typeRange(type: string): KeyRange {
    const prefix = encodePrefix(this.#head, [nameBytes(type)])
    return { gte: prefix, lt: endOfPrefix(prefix) }
  }

  /** What all keys of one index and scope begin with; behind it lies the position. */
  prefix({ type, index, scope }: IndexPlace): Uint8Array {
    return encodePrefix(this.#head, [nameBytes(type), nameBytes(index), scope])
  }

  key({ type, index, scope, position, partition }: IndexKey): Uint8Array {
    const { term, bucket, key } = position
    const [typeName, indexName] = [nameBytes(type), nameBytes(index)]
    return this.owner === undefined
      ? encodeKey(
          this.#head,
          [typeName, indexName, scope, term, bucket, key],
          placeAndPartition(position, partition),
        )
      : encodeKey(this.#head, [typeName, indexName, scope, term, bucket], key)
  }

  /** The other way round. Throws `ATOLL_CORRUPT` for a key that `key` did not make. */
  parse(indexKey: Uint8Array): IndexKey {
    const { parts, last } = decodeKey(indexKey.subarray(this.#head.length), PLACE_PARTS)
    const [type = EMPTY_BYTES, index = EMPTY_BYTES, scope = EMPTY_BYTES] = parts
    const place = { type: fromUtf8(type), index: fromUtf8(index), scope }
    return { ...place, position: this.positionOf(last), partition: this.partitionOf(indexKey) }
  }

  /** The position that stands behind the prefix of a key. */
  positionOf(tail: Uint8Array): ScanPosition {
    const count = this.owner === undefined ? POSITION_PARTS + 1 : POSITION_PARTS
    const { parts, last } = decodeKey(tail, count)
    const [term = EMPTY_BYTES, bucket = EMPTY_BYTES, key = last] = parts
    if (this.owner !== undefined || last.length === PARTITION_BYTES) return { term, bucket, key }
    const [place = EMPTY_BYTES] = decodeKey(last.subarray(PLACE_MARK.length), 1).parts
    return { term, bucket, key, place }
  }

  /** Whose entry it is. */
  partitionOf(indexKey: Uint8Array): number {
    if (this.owner !== undefined) return this.owner
    const at = indexKey.length - PARTITION_BYTES
    return (indexKey[at] ?? 0) * 256 + (indexKey[at + 1] ?? 0)
  }

  /** Bytes that sort as positions do, those of one space like those of another: what stands behind the prefix. */
  orderOf(tail: Uint8Array, position: ScanPosition): Uint8Array {
    return this.owner === undefined ? tail.subarray(0, -PARTITION_BYTES) : orderOf(position)
  }

  /** Whether an entry belongs to the record `id` of a partition, without taking most keys apart. */
  isOf(indexKey: Uint8Array, id: KeyId, partition: number): boolean {
    if (this.partitionOf(indexKey) !== partition) return false
    const place = placeOf(id)
    if (this.owner !== undefined && place !== undefined) return false
    const end =
      this.owner === undefined
        ? encodeKey(EMPTY_BYTES, [id.bucket, id.key], placeAndPartition(id, partition))
        : encodeKey(EMPTY_BYTES, [id.bucket], id.key)
    if (!endsWith(indexKey, end)) return false
    const { type, position } = this.parse(indexKey)
    const isPlaced = equalBytes(position.place ?? EMPTY_BYTES, place ?? EMPTY_BYTES)
    const isKey = equalBytes(position.bucket, id.bucket) && equalBytes(position.key, id.key)
    return type === id.type && isKey && isPlaced
  }

  windowRange(window: IndexWindow): KeyRange {
    const prefix = this.prefix(window)
    const { from, to, after } = window
    const start = from === undefined ? prefix : encodePrefix(prefix, [from])
    const resume = after === undefined ? prefix : this.#justAfter(prefix, after)
    return {
      gte: compareBytes(start, resume) > 0 ? start : resume,
      lt: to === undefined ? endOfPrefix(prefix) : encodePrefix(prefix, [to]),
    }
  }

  #justAfter(prefix: Uint8Array, position: ScanPosition): Uint8Array {
    const { term, bucket, key } = position
    if (this.owner !== undefined)
      return concatBytes([encodeKey(prefix, [term, bucket], key), new Uint8Array(1)])
    const start = encodePrefix(prefix, [term, bucket, key])
    const place = placeOf(position)
    return place === undefined
      ? concatBytes([start, PLACE_MARK])
      : endOfPrefix(encodePrefix(concatBytes([start, PLACE_MARK]), [place]))
  }
}

/** The entries of all partitions of a node. */
export const NODE_INDEX: IndexSpace = IndexSpace.ofNode()

/** Bytes that sort as positions do. */
export function orderOf(position: ScanPosition): Uint8Array {
  const { term, bucket, key } = position
  const place = placeOf(position)
  const start = encodePrefix(EMPTY_BYTES, [term, bucket, key])
  return place === undefined ? start : encodePrefix(concatBytes([start, PLACE_MARK]), [place])
}

/** What stands behind the key at the end of an index key. */
function placeAndPartition(placed: PlacedKey, partition: number): Uint8Array {
  const place = placeOf(placed)
  const end = partitionBytes(partition)
  return place === undefined ? end : encodeKey(PLACE_MARK, [place], end)
}

function partitionBytes(partition: number): Uint8Array {
  return new Uint8Array([partition >> 8, partition & 0xff])
}

function endsWith(bytes: Uint8Array, tail: Uint8Array): boolean {
  return bytes.length >= tail.length && equalBytes(bytes.subarray(bytes.length - tail.length), tail)
}
