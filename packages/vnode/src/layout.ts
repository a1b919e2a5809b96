import { compareBytes, concatBytes, EMPTY_BYTES, equalBytes, fromUtf8, type KeyId, utf8 } from '@atoll/core'
import { decodeKey, encodeKey, encodePrefix, endOfPrefix } from './keys.ts'
import type { ScanPosition } from './protocol.ts'

export interface KeyRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
}

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

const PARTITION_DIGITS = 4
const SUBLEVEL_SEPARATOR = 0x21
/** Type, index, scope, term and bucket, before the key. */
const INDEX_PARTS = 5
/** Behind a whole key: makes the least key that is greater. */
const ZERO = new Uint8Array([0])

/** Where the host notes whose database this is: key `format` of the sublevel `meta`. */
export const FORMAT_KEY: Uint8Array = utf8('!meta!format')
/** Under this key there is never anything: it is deleted to see whether writes go through. */
export const NOTHING_KEY: Uint8Array = utf8('!meta!nothing')

/**
 * Where things lie in the database. A partition is a sublevel named by its number in four digits, with four of its own:
 * `data` (type, bucket, key), `index` (type, index, scope, term, bucket, key), `notes` (as `data`) and `meta`. Keys are
 * written out in full here, byte for byte as sublevels would write them, which spares a batch the way through those.
 */
export class VnodeLayout {
  readonly partition: number
  readonly #data: Uint8Array
  readonly #index: Uint8Array
  readonly #notes: Uint8Array
  readonly #meta: string

  constructor(partition: number) {
    this.partition = partition
    const name = partition.toString().padStart(PARTITION_DIGITS, '0')
    this.#data = utf8(`!${name}!!data!`)
    this.#index = utf8(`!${name}!!index!`)
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

  /** Where a change of a record is noted: behind another prefix, the same key. */
  noteKey(dataKey: Uint8Array): Uint8Array {
    return concatBytes([this.#notes, dataKey.subarray(this.#data.length)])
  }

  /** The other way round. */
  dataKeyOf(noteKey: Uint8Array): Uint8Array {
    return concatBytes([this.#data, noteKey.subarray(this.#notes.length)])
  }

  /** A place in the order of records that outlives the layout: a data key without its prefix. */
  cursorOf(dataKey: Uint8Array): Uint8Array {
    return new Uint8Array(dataKey.subarray(this.#data.length))
  }

  /** The other way round. */
  dataKeyAt(cursor: Uint8Array): Uint8Array {
    return concatBytes([this.#data, cursor])
  }

  /** The records behind a cursor, of one bucket type if it is named; all of them without either. */
  rangeAfter(cursor: Uint8Array | undefined, type?: string): KeyRange {
    const range = type === undefined ? this.dataRange : this.typeRange(type)
    return cursor === undefined ? range : { ...range, gte: concatBytes([this.#data, cursor, ZERO]) }
  }

  /** The records of one bucket type. */
  typeRange(type: string): KeyRange {
    const prefix = encodePrefix(this.#data, [utf8(type)])
    return { gte: prefix, lt: endOfPrefix(prefix) }
  }

  get dataRange(): KeyRange {
    return { gte: this.#data, lt: endOfSublevel(this.#data) }
  }

  get indexRange(): KeyRange {
    return { gte: this.#index, lt: endOfSublevel(this.#index) }
  }

  dataKey({ type, bucket, key }: KeyId): Uint8Array {
    return encodeKey(this.#data, [utf8(type), bucket], key)
  }

  /** The other way round. Throws for a key that `dataKey` did not make. */
  idOf(dataKey: Uint8Array): KeyId {
    const { parts, last } = decodeKey(dataKey.subarray(this.#data.length), 2)
    const [type = EMPTY_BYTES, bucket = EMPTY_BYTES] = parts
    return { type: fromUtf8(type), bucket, key: last }
  }

  indexKey({ type, index, scope }: IndexPlace, { term, bucket, key }: ScanPosition): Uint8Array {
    return encodeKey(this.#index, [utf8(type), utf8(index), scope, term, bucket], key)
  }

  /** What all keys of one index and scope begin with; behind it lies the position. */
  indexPrefix({ type, index, scope }: IndexPlace): Uint8Array {
    return encodePrefix(this.#index, [utf8(type), utf8(index), scope])
  }

  /** Whether an entry belongs to the record `id`, without taking its key apart: its end says so nearly always. */
  indexKeyIsOf(indexKey: Uint8Array, { type, bucket, key }: KeyId): boolean {
    const tail = encodeKey(EMPTY_BYTES, [bucket], key)
    if (!endsWith(indexKey, tail)) return false
    const { parts, last } = decodeKey(indexKey.subarray(this.#index.length), INDEX_PARTS)
    const [entryType = EMPTY_BYTES, , , , entryBucket = EMPTY_BYTES] = parts
    return fromUtf8(entryType) === type && equalBytes(entryBucket, bucket) && equalBytes(last, key)
  }

  windowRange(window: IndexWindow): KeyRange {
    const prefix = this.indexPrefix(window)
    const { from, to, after } = window
    const start = from === undefined ? prefix : encodePrefix(prefix, [from])
    const resume = after === undefined ? prefix : justAfter(prefix, after)
    return {
      gte: laterOf(start, resume),
      lt: to === undefined ? endOfPrefix(prefix) : encodePrefix(prefix, [to]),
    }
  }
}

export function decodePosition(encoded: Uint8Array): ScanPosition {
  const { parts, last } = decodeKey(encoded, 2)
  const [term = EMPTY_BYTES, bucket = EMPTY_BYTES] = parts
  return { term, bucket, key: last }
}

function justAfter(prefix: Uint8Array, { term, bucket, key }: ScanPosition): Uint8Array {
  return concatBytes([encodeKey(prefix, [term, bucket], key), ZERO])
}

/** A sublevel ends where its closing `!` would be the next character. */
export function endOfSublevel(prefix: Uint8Array): Uint8Array {
  const end = new Uint8Array(prefix)
  end[end.length - 1] = SUBLEVEL_SEPARATOR + 1
  return end
}

function endsWith(bytes: Uint8Array, tail: Uint8Array): boolean {
  return bytes.length >= tail.length && equalBytes(bytes.subarray(bytes.length - tail.length), tail)
}

function laterOf(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compareBytes(a, b) > 0 ? a : b
}
