import { concatBytes, EMPTY_BYTES, fromUtf8, type KeyId, utf8 } from '@atoll/core'
import { IndexSpace } from './index-space.ts'
import { decodeKey, encodeKey, encodePrefix, endOfPrefix, endOfSublevel, type KeyRange } from './keys.ts'

const PARTITION_DIGITS = 4
/** In place of `data`, behind `!0000!!`. */
const BODY = utf8('body')
const NAME_AT = PARTITION_DIGITS + 3
/** Behind a whole key: makes the least key that is greater. */
const ZERO = new Uint8Array([0])

/** Where the host notes whose database this is: key `format` of the sublevel `meta`. */
export const FORMAT_KEY: Uint8Array = utf8('!meta!format')
/** Under this key there is never anything: it is deleted to see whether writes go through. */
export const NOTHING_KEY: Uint8Array = utf8('!meta!nothing')

/** Where the values of a record lie that are apart from its head: in another sublevel of its partition, the same key. */
export function bodyKeyOf(dataKey: Uint8Array): Uint8Array {
  const key = new Uint8Array(dataKey)
  key.set(BODY, NAME_AT)
  return key
}

/**
 * Where things lie in the database. A partition is a sublevel named by its number in four digits, with four of its own:
 * `data` (type, bucket, key), `body` and `notes` (both as `data`) and `meta`. Its index entries stand among those of
 * the whole node (`NODE_INDEX`); a build before put them into a fourth, `index`. Keys are written out in full here,
 * byte for byte as sublevels would write them, which spares a batch the way through those.
 */
export class VnodeLayout {
  readonly partition: number
  /** Where a build before has put the index entries of the partition. */
  readonly ownIndex: IndexSpace
  readonly #data: Uint8Array
  readonly #notes: Uint8Array
  readonly #meta: string

  constructor(partition: number) {
    this.partition = partition
    const name = partition.toString().padStart(PARTITION_DIGITS, '0')
    this.#data = utf8(`!${name}!!data!`)
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

  /** The values that lie apart from their heads. */
  get bodyRange(): KeyRange {
    const body = bodyKeyOf(this.#data)
    return { gte: body, lt: endOfSublevel(body) }
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
}
