import { AtollError, EMPTY_BYTES } from '@atoll/core'
import { DEFAULT_FRAME_LIMITS, type FrameLimits } from './options.ts'
import type { Frame } from './ports.ts'

/**
 * A frame as bytes: a prologue of fixed size, the head, the body.
 *
 * | at | bytes | what |
 * |---|---|---|
 * | 0 | 2 | magic "At" |
 * | 2 | 1 | version of this layout |
 * | 3 | 1 | flags: 1 = the checksum is set |
 * | 4 | 4 | length of the head |
 * | 8 | 4 | length of the body |
 * | 12 | 4 | CRC-32 of the first 12 bytes, the head and the body; 0 if not set |
 *
 * Numbers are big-endian. A body of no bytes arrives as no body.
 */
const MAGIC = 0x4174
const VERSION = 1
const FLAG_CRC32 = 1
const CHECKED_BYTES = 12
export const PROLOGUE_BYTES = 16

/** CRC-32 as in `Digests.crc32`: `seed` continues an earlier one. */
export type Crc32 = (data: Uint8Array, seed?: number) => number

/** Makes an array of so many bytes, of any content: all of them will be written. */
export type Allocate = (bytes: number) => Uint8Array

/** The parts of a frame, to be written one after the other. The body is the caller's own bytes, never a copy. */
export function encodeFrame(frame: Frame, crc32?: Crc32): Uint8Array[] {
  const { head, body } = frame
  const prologue = new Uint8Array(PROLOGUE_BYTES)
  writePrologue(frame, prologue, 0)
  if (crc32 !== undefined) {
    prologue[3] = FLAG_CRC32
    writeUint32(prologue, CHECKED_BYTES, checksum(crc32, prologue, frame))
  }
  return body === undefined || body.length === 0 ? [prologue, head] : [prologue, head, body]
}

/** Writes what stands in front of the head of a frame without a checksum, `PROLOGUE_BYTES` from a place on. */
export function writePrologue({ head, body }: Frame, target: Uint8Array, at: number): void {
  target[at] = MAGIC >>> 8
  target[at + 1] = MAGIC & 255
  target[at + 2] = VERSION
  target[at + 3] = 0
  writeUint32(target, at + 4, head.length)
  writeUint32(target, at + 8, body?.length ?? 0)
  writeUint32(target, at + CHECKED_BYTES, 0)
}

function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

/** What a prologue says. */
interface Prologue {
  readonly bytes: Uint8Array
  readonly headBytes: number
  readonly bodyBytes: number
  /** Undefined if it is not set. */
  readonly crc32: number | undefined
}

/**
 * Makes frames of bytes that come in pieces of any size.
 *
 * A part that lies within one piece becomes a view of that piece if the piece belongs to it, unless it is so much
 * smaller that it would hold the piece's memory for little; any other part is copied once.
 */
export class FrameDecoder {
  readonly #limits: FrameLimits
  readonly #crc32: Crc32 | undefined
  readonly #allocate: Allocate
  readonly #heads = new HeadCopies()
  #prologue: Prologue | undefined
  #head: Uint8Array | undefined
  #part = new Part(PROLOGUE_BYTES)
  #error: AtollError | undefined

  /**
   * With `crc32`, frames that carry a checksum are checked. `allocate` is for whoever can make arrays cheaper than with
   * zeros in them.
   */
  constructor(
    limits: FrameLimits = DEFAULT_FRAME_LIMITS,
    crc32?: Crc32,
    allocate: Allocate = (bytes) => new Uint8Array(bytes),
  ) {
    this.#limits = limits
    this.#crc32 = crc32
    this.#allocate = allocate
  }

  /**
   * The frames that are complete now. Without `isLent` the piece belongs to them from here on. Throws `ATOLL_TOO_LARGE`
   * for a frame over the limits, before any of it is kept, `ATOLL_PROTOCOL` for bytes that are no frame, and
   * `ATOLL_CORRUPT` for one that fails its checksum. No frame can be found after that: every later call throws the same.
   */
  push(piece: Uint8Array, isLent = false): Frame[] {
    if (this.#error !== undefined) throw this.#error
    try {
      return this.#decode(piece, isLent)
    } catch (error) {
      if (error instanceof AtollError) this.#error = error
      throw error
    }
  }

  /** What is set aside for a frame of which a part has arrived; 0 between frames. */
  get partialBytes(): number {
    return (this.#head?.length ?? 0) + this.#part.ownBytes
  }

  /** Says that no more bytes come. Throws `ATOLL_PROTOCOL` if they end within a frame. */
  end(): void {
    if (this.#error !== undefined) throw this.#error
    if (!this.#isBetweenFrames) throw broken('the bytes end within a frame')
  }

  get #isBetweenFrames(): boolean {
    return this.#prologue === undefined && this.#part.empty
  }

  #decode(piece: Uint8Array, isLent: boolean): Frame[] {
    const frames: Frame[] = []
    let at = 0
    for (;;) {
      if (this.#isBetweenFrames) {
        at = this.#takeWhole(piece, at, { isLent, frames })
        if (at === piece.length) return frames
      }
      const part = this.#part
      at += part.fill(piece, at, this.#allocate)
      if (!part.isFull) return frames
      const frame = this.#onPart(part.bytes)
      if (frame !== undefined) frames.push(frame)
    }
  }

  /** The frames that lie within the piece from a place on, which most do; answers where they end. */
  #takeWhole(
    piece: Uint8Array,
    from: number,
    { isLent, frames }: { readonly isLent: boolean; readonly frames: Frame[] },
  ): number {
    let at = from
    while (piece.length - at >= PROLOGUE_BYTES) {
      const prologue = this.#read(piece, at)
      const headAt = at + PROLOGUE_BYTES
      const bodyAt = headAt + prologue.headBytes
      const end = bodyAt + prologue.bodyBytes
      if (end > piece.length) return at
      const head = this.#heads.copy(piece, headAt, bodyAt)
      const frame =
        end === bodyAt ? { head } : { head, body: this.#bodyOf(viewOf(piece, bodyAt, end), isLent) }
      this.#check(prologue, frame)
      frames.push(frame)
      at = end
    }
    return at
  }

  /** A view that would keep more than twice its own size alive becomes a copy. */
  #bodyOf(view: Uint8Array, isLent: boolean): Uint8Array {
    if (!isLent && view.length * 2 >= view.buffer.byteLength) return view
    const copy = this.#allocate(view.length)
    copy.set(view)
    return copy
  }

  /** A part is complete: remembers it and begins the next one, or returns the frame that it completes. */
  #onPart(bytes: Uint8Array): Frame | undefined {
    if (this.#prologue === undefined) {
      this.#prologue = this.#read(bytes, 0)
      this.#part = new Part(this.#prologue.headBytes)
      return undefined
    }
    const { bodyBytes } = this.#prologue
    if (this.#head === undefined) {
      this.#head = bytes
      if (bodyBytes > 0) {
        this.#part = new Part(bodyBytes)
        return undefined
      }
    }
    const frame = bodyBytes > 0 ? { head: this.#head, body: bytes } : { head: this.#head }
    this.#check(this.#prologue, frame)
    this.#prologue = undefined
    this.#head = undefined
    this.#part = new Part(PROLOGUE_BYTES)
    return frame
  }

  #read(bytes: Uint8Array, at: number): Prologue {
    const magic = (byteOf(bytes, at) << 8) | byteOf(bytes, at + 1)
    const [version, flags] = [byteOf(bytes, at + 2), byteOf(bytes, at + 3)]
    if (magic !== MAGIC) throw broken(`a frame begins with ${magic.toString(16)}`)
    if (version !== VERSION) throw broken(`frames have version ${version}, this program reads ${VERSION}`)
    if (flags > FLAG_CRC32) throw broken(`flags ${flags} are unknown`)
    const headBytes = readUint32(bytes, at + 4)
    const bodyBytes = readUint32(bytes, at + 8)
    limit('head', headBytes, this.#limits.maxHeadBytes)
    limit('body', bodyBytes, this.#limits.maxBodyBytes)
    const isChecked = flags === FLAG_CRC32 && this.#crc32 !== undefined
    return {
      bytes: isChecked ? viewOf(bytes, at, at + CHECKED_BYTES) : EMPTY_BYTES,
      headBytes,
      bodyBytes,
      crc32: isChecked ? readUint32(bytes, at + CHECKED_BYTES) : undefined,
    }
  }

  #check(prologue: Prologue, frame: Frame): void {
    if (this.#crc32 === undefined || prologue.crc32 === undefined) return
    if (checksum(this.#crc32, prologue.bytes, frame) === prologue.crc32) return
    throw new AtollError('ATOLL_CORRUPT', 'a frame fails its checksum')
  }
}

/** A part of a known size, which is copied from the pieces that it spans. */
class Part {
  readonly #length: number
  #own: Uint8Array = EMPTY_BYTES
  #filled = 0

  constructor(length: number) {
    this.#length = length
  }

  get empty(): boolean {
    return this.#filled === 0
  }

  get isFull(): boolean {
    return this.#filled === this.#length
  }

  get ownBytes(): number {
    return this.#own.length
  }

  /** All of it, once it is full. */
  get bytes(): Uint8Array {
    return this.#own
  }

  /** Takes what it needs of the piece; returns how much that was. */
  fill(piece: Uint8Array, at: number, allocate: Allocate): number {
    const length = Math.min(this.#length - this.#filled, piece.length - at)
    if (length === 0) return 0
    if (this.#filled === 0) this.#own = allocate(this.#length)
    this.#own.set(piece.subarray(at, at + length), this.#filled)
    this.#filled += length
    return length
  }
}

const SHEET_BYTES = 8192
/** A longer one gets memory of its own. */
const MOST_COPIED_BYTES = 512

/**
 * Copies of heads, which are short: many share an array, since an array of its own costs ten times as much as the copy.
 */
class HeadCopies {
  #sheet = EMPTY_BYTES
  #at = 0

  copy(piece: Uint8Array, from: number, to: number): Uint8Array {
    const length = to - from
    const view = viewOf(piece, from, to)
    if (length > MOST_COPIED_BYTES) return new Uint8Array(view)
    if (this.#at + length > this.#sheet.length) {
      this.#sheet = new Uint8Array(SHEET_BYTES)
      this.#at = 0
    }
    const copy = this.#sheet.subarray(this.#at, this.#at + length)
    this.#at += length
    copy.set(view)
    return copy
  }
}

/** Not `subarray`: that of a Buffer is a Buffer, of which other methods do other things. */
function viewOf(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from)
}

function byteOf(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}

function readUint32(bytes: Uint8Array, at: number): number {
  const high = (byteOf(bytes, at) << 8) | byteOf(bytes, at + 1)
  const low = (byteOf(bytes, at + 2) << 8) | byteOf(bytes, at + 3)
  return high * 0x10000 + low
}

function checksum(crc32: Crc32, prologue: Uint8Array, { head, body = EMPTY_BYTES }: Frame): number {
  const parts = [head, body].filter(({ length }) => length > 0)
  // Of no bytes zlib sometimes takes the sum for that of nothing at all.
  return parts.reduce((sum, part) => crc32(part, sum), crc32(prologue.subarray(0, CHECKED_BYTES)))
}

function limit(part: string, bytes: number, max: number): void {
  if (bytes <= max) return
  throw new AtollError('ATOLL_TOO_LARGE', `a frame has a ${part} of ${bytes} bytes; the limit is ${max}`)
}

function broken(why: string): AtollError {
  return new AtollError('ATOLL_PROTOCOL', `the peer does not speak in frames: ${why}`)
}
