import { AtollError, messageOf } from './errors.ts'
import { packTuple, type TupleValue, unpackTuple } from './msgpack.ts'
import { isBytes } from './realms.ts'
import { describe } from './validate.ts'

/**
 * Packs a tuple behind a version byte. The result is a fresh array of its exact size, with room behind it if that is
 * asked for. Throws `TypeError` for a text that is not well-formed Unicode, and `RangeError` for a number that is not
 * finite.
 */
export function encodeTuple(version: number, tuple: readonly TupleValue[], roomBytes = 0): Uint8Array {
  return packTuple(tuple, version, roomBytes)
}

export interface TupleCodec<T> {
  /** What these bytes are called in errors. */
  readonly name: string
  /** The version that `encode` writes. */
  readonly version: number
  readonly encode: (value: T) => readonly TupleValue[]
  readonly decode: (reader: TupleReader) => T
  /** How a tuple of version v becomes one of version v + 1, for every older version that must still open. */
  readonly migrations?: Readonly<Record<number, (older: TupleReader) => readonly TupleValue[]>>
}

/** With `roomBytes` of room behind what is packed. */
export function encodeWith<T>(codec: TupleCodec<T>, value: T, roomBytes = 0): Uint8Array {
  return encodeTuple(codec.version, codec.encode(value), roomBytes)
}

/**
 * Decodes bytes of any version up to the codec's own. Throws `ATOLL_CORRUPT` for bytes that are not what the codec
 * writes, and `ATOLL_FORMAT` for a newer version.
 */
export function decodeWith<T>(codec: TupleCodec<T>, bytes: Uint8Array): T {
  let version = bytes[0]
  if (version === undefined) throw corrupt(codec.name, 'it is empty')
  if (version > codec.version) {
    const known = `this program reads up to version ${codec.version}`
    throw new AtollError('ATOLL_FORMAT', `${codec.name} has version ${version}; ${known}`)
  }
  let reader = new TupleReader(codec.name, unpack(codec.name, bytes))
  for (; version < codec.version; version++) {
    const migrate = codec.migrations?.[version]
    if (migrate === undefined) throw corrupt(codec.name, `version ${version} was never written`)
    const migrated = migrate(reader)
    reader.end()
    reader = new TupleReader(codec.name, migrated)
  }
  const value = codec.decode(reader)
  reader.end()
  return value
}

/** Items that a list has at most, unless its reader says otherwise: so no tuple makes its reader work without a bound. */
export const MAX_LIST_ITEMS = 65_536

/** Takes a tuple apart, one field after the other, and believes none of it. Every mismatch is `ATOLL_CORRUPT`. */
export class TupleReader {
  readonly #name: string
  readonly #fields: readonly unknown[]
  #at = 0

  constructor(name: string, fields: unknown) {
    if (!Array.isArray(fields)) throw corrupt(name, `expected a tuple, got ${describe(fields)}`)
    this.#name = name
    this.#fields = fields
  }

  /** How many fields are left. */
  get remaining(): number {
    return this.#fields.length - this.#at
  }

  /** Whether the next field is a nested tuple. */
  get isAtTuple(): boolean {
    return Array.isArray(this.#fields[this.#at])
  }

  uint(): number {
    const value = this.#next()
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    throw this.#mismatch('an unsigned integer', value)
  }

  number(): number {
    const value = this.#next()
    if (typeof value === 'number' && Number.isFinite(value)) return value
    throw this.#mismatch('a number', value)
  }

  boolean(): boolean {
    const value = this.#next()
    if (typeof value === 'boolean') return value
    throw this.#mismatch('a boolean', value)
  }

  string(): string {
    const value = this.#next()
    if (typeof value === 'string') return value
    throw this.#mismatch('a string', value)
  }

  bytes(): Uint8Array {
    const value = this.#next()
    if (isBytes(value)) return value
    throw this.#mismatch('bytes', value)
  }

  /** A nested tuple. */
  tuple(): TupleReader {
    return new TupleReader(this.#name, this.#next())
  }

  /** A nested tuple of which every field is read by `item`; `ATOLL_CORRUPT` for more than `maxItems` items. */
  list<T>(item: (reader: TupleReader) => T, maxItems = MAX_LIST_ITEMS): T[] {
    const reader = this.tuple()
    const items: T[] = []
    while (reader.remaining > 0) {
      if (items.length === maxItems) {
        throw corrupt(this.#name, `field ${this.#at} should have at most ${maxItems} items`)
      }
      items.push(item(reader))
    }
    return items
  }

  /** `undefined` for a null field, and otherwise what `item` reads. */
  optional<T>(item: (reader: TupleReader) => T): T | undefined {
    if (this.#fields[this.#at] === null) {
      this.#at += 1
      return undefined
    }
    return item(this)
  }

  /** Throws unless every field was read. */
  end(): void {
    if (this.remaining > 0) throw corrupt(this.#name, `${this.remaining} fields too many`)
  }

  #next(): unknown {
    if (this.remaining === 0) throw corrupt(this.#name, 'it ends too early')
    return this.#fields[this.#at++]
  }

  #mismatch(expected: string, value: unknown): AtollError {
    return corrupt(this.#name, `field ${this.#at} should be ${expected}, got ${describe(value)}`)
  }
}

/** What stands behind the version. */
function unpack(name: string, bytes: Uint8Array): unknown {
  try {
    return unpackTuple(bytes, 1)
  } catch (error) {
    throw corrupt(name, messageOf(error))
  }
}

function corrupt(name: string, why: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `${name} cannot be read: ${why}`)
}

/** What `unpack` makes of a tuple that has nothing else in it. Throws `ATOLL_CORRUPT` for a field that is left. */
export function unpackWhole<T>(reader: TupleReader, unpack: (reader: TupleReader) => T): T {
  const value = unpack(reader)
  reader.end()
  return value
}
