import { fromUtf8 } from './bytes.ts'
import { MAX_DEPTH, PackedWriter } from './packed-writer.ts'

/** What a tuple may hold. Bytes of a body never go in here: they travel raw beside the tuple. */
export type TupleValue = null | boolean | number | string | Uint8Array | readonly TupleValue[]

/** One for all: packing is never interrupted. */
const writer = new PackedWriter()

/**
 * The tuple, behind a version byte if one is given, and before as many zeros as there shall be room. Throws `TypeError`
 * or `RangeError` for what `unpackTuple` would refuse: nothing is stored that cannot be read.
 */
export function packTuple(tuple: readonly TupleValue[], version?: number, roomBytes = 0): Uint8Array {
  writer.begin(version)
  writer.tuple(tuple, 1)
  return writer.end(roomBytes)
}

/**
 * Reads what `packTuple` writes, and nothing else, from a place on; bytes are views of `packed`. Throws an `Error` that
 * says what is wrong. msgpackr would also read extensions, cyclic pointers and records, for which it compiles code, and
 * drop a byte order mark that begins a text of over 64 bytes (2.1.3): nothing to let near bytes from a disk or a peer.
 */
export function unpackTuple(packed: Uint8Array, from = 0): TupleValue {
  const reader = new PackedReader(packed, from)
  const value = reader.value(0)
  reader.end()
  return value
}

/**
 * Most texts are the same few names, of methods, types and indexes: those that came last, each in the place that
 * follows from some of its bytes. To compare costs less than to make a text anew, and a text that is known is hashed
 * already.
 */
const KNOWN_TEXTS = 256
/** Fields for which there is room from the beginning: arrays that grow get room for sixteen more. */
const SMALL_TUPLE = 16
const KNOWN_LENGTH = 32
const knownTexts: (string | undefined)[] = new Array<string | undefined>(KNOWN_TEXTS).fill(undefined)

/** Floating-point numbers are read from here: a view of each message would cost more than all else in it. */
const float = new DataView(new ArrayBuffer(8))

class PackedReader {
  readonly #bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, from: number) {
    this.#bytes = bytes
    this.#at = from
  }

  value(depth: number): TupleValue {
    const head = this.#uint8()
    if (head < 0x80) return head
    if (head >= 0xe0) return head - 0x100
    if (head >= 0xa0 && head < 0xc0) return this.#text(head - 0xa0)
    if (head >= 0x90 && head < 0xa0) return this.#tuple(head - 0x90, depth)
    return this.#longValue(head, depth)
  }

  end(): void {
    const left = this.#bytes.length - this.#at
    if (left > 0) throw new Error(`${left} bytes too many`)
  }

  #longValue(head: number, depth: number): TupleValue {
    switch (head) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return this.#raw(this.#uint8())
      case 0xc5:
        return this.#raw(this.#uint16())
      case 0xc6:
        return this.#raw(this.#uint32())
      case 0xcb:
        return this.#float64()
      case 0xcc:
        return this.#uint8()
      case 0xcd:
        return this.#uint16()
      case 0xce:
        return this.#uint32()
      case 0xd0:
        return (this.#uint8() << 24) >> 24
      case 0xd1:
        return (this.#uint16() << 16) >> 16
      case 0xd2:
        return this.#uint32() | 0
      case 0xd9:
        return this.#text(this.#uint8())
      case 0xda:
        return this.#text(this.#uint16())
      case 0xdb:
        return this.#text(this.#uint32())
      case 0xdc:
        return this.#tuple(this.#uint16(), depth)
      case 0xdd:
        return this.#tuple(this.#uint32(), depth)
      default:
        throw new Error(`byte ${head} begins nothing that a tuple holds`)
    }
  }

  #tuple(length: number, depth: number): TupleValue[] {
    if (depth === MAX_DEPTH) throw new Error(`tuples go over ${MAX_DEPTH} deep`)
    // A longer one is grown field by field: a length that lies must not cost memory.
    const fields = new Array<TupleValue>(length <= SMALL_TUPLE ? length : 0)
    for (let at = 0; at < length; at++) fields[at] = this.value(depth + 1)
    return fields
  }

  #text(length: number): string {
    const start = this.#take(length)
    if (length === 0) return ''
    if (length > KNOWN_LENGTH) return fromUtf8(this.#bytes.subarray(start, start + length))
    const end = start + length
    const slot =
      (31 * length + 7 * this.#byte(start) + this.#byte(start + (length >> 1)) + 3 * this.#byte(end - 1)) %
      KNOWN_TEXTS
    const known = knownTexts[slot]
    if (known !== undefined && this.#isText(known, start, length)) return known
    const text = fromUtf8(this.#bytes.subarray(start, end))
    knownTexts[slot] = text
    return text
  }

  /** Whether these bytes are those of an ASCII text. */
  #isText(text: string, start: number, length: number): boolean {
    if (text.length !== length) return false
    for (let at = 0; at < length; at++) {
      const code = text.charCodeAt(at)
      if (code >= 0x80 || code !== this.#bytes[start + at]) return false
    }
    return true
  }

  #raw(length: number): Uint8Array {
    const start = this.#take(length)
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length)
  }

  #uint8(): number {
    return this.#byte(this.#take(1))
  }

  #uint16(): number {
    const at = this.#take(2)
    return (this.#byte(at) << 8) | this.#byte(at + 1)
  }

  #uint32(): number {
    const high = this.#uint16()
    return ((high << 16) | this.#uint16()) >>> 0
  }

  #float64(): number {
    float.setUint32(0, this.#uint32())
    float.setUint32(4, this.#uint32())
    return float.getFloat64(0)
  }

  #byte(at: number): number {
    return this.#bytes[at] ?? 0
  }

  /** Moves on, and answers where the taken bytes begin. */
  #take(length: number): number {
    const start = this.#at
    if (length > this.#bytes.length - start) throw new Error('it ends too early')
    this.#at = start + length
    return start
  }
}
