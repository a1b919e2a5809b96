import { AtollError } from '@atoll/core'
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
const PROLOGUE_BYTES = 16

/** CRC-32 as in `Digests.crc32`: `seed` continues an earlier one. */
export type Crc32 = (data: Uint8Array, seed?: number) => number

/** Makes an array of so many bytes, of any content: all of them will be written. */
export type Allocate = (bytes: number) => Uint8Array

/** The parts of a frame, to be written one after the other. The body is the caller's own bytes, never a copy. */
export function encodeFrame(frame: Frame, crc32?: Crc32): Uint8Array[] {
  const { head, body } = frame
  const prologue = new Uint8Array(PROLOGUE_BYTES)
  const view = new DataView(prologue.buffer)
  view.setUint16(0, MAGIC)
  view.setUint8(2, VERSION)
  view.setUint8(3, crc32 === undefined ? 0 : FLAG_CRC32)
  view.setUint32(4, head.length)
  view.setUint32(8, body?.length ?? 0)
  if (crc32 !== undefined) view.setUint32(CHECKED_BYTES, checksum(crc32, prologue, frame))
  return body === undefined || body.length === 0 ? [prologue, head] : [prologue, head, body]
}

interface Prologue {
  readonly bytes: Uint8Array
  readonly crc32: number | undefined
}

/**
 * Makes frames of bytes that come in pieces of any size. What it is given belongs to it, and to the frames.
 *
 * A part that lies within one piece becomes a view of that piece, unless it is so much smaller that it would hold the
 * piece's memory for little; one that spans pieces is copied once, into an array of its own size.
 */
export class FrameDecoder {
  readonly #limits: FrameLimits
  readonly #crc32: Crc32 | undefined
  #prologue: Prologue | undefined
  #head: Uint8Array | undefined
  readonly #allocate: Allocate
  #part: Part
  #bodyBytes = 0
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
    this.#part = new Part(PROLOGUE_BYTES, allocate)
  }

  /**
   * The frames that are complete now. Throws `ATOLL_TOO_LARGE` for a frame over the limits, before any of it is kept,
   * `ATOLL_PROTOCOL` for bytes that are no frame, and `ATOLL_CORRUPT` for one that fails its checksum. No frame can be
   * found after that: every later call throws the same.
   */
  push(piece: Uint8Array): Frame[] {
    if (this.#error !== undefined) throw this.#error
    try {
      return this.#decode(piece)
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
    if (this.#prologue !== undefined || !this.#part.empty) throw broken('the bytes end within a frame')
  }

  #decode(piece: Uint8Array): Frame[] {
    const frames: Frame[] = []
    let at = 0
    for (;;) {
      at += this.#part.fill(piece, at)
      const bytes = this.#part.bytes
      if (bytes === undefined) return frames
      const frame = this.#onPart(bytes)
      if (frame !== undefined) frames.push(frame)
    }
  }

  /** A part is complete: remembers it and begins the next one, or returns the frame that it completes. */
  #onPart(bytes: Uint8Array): Frame | undefined {
    if (this.#prologue === undefined) {
      this.#begin(bytes)
      return undefined
    }
    if (this.#head === undefined) {
      this.#head = bytes
      if (this.#bodyBytes > 0) {
        this.#part = new Part(this.#bodyBytes, this.#allocate)
        return undefined
      }
    }
    const frame = this.#bodyBytes > 0 ? { head: this.#head, body: bytes } : { head: this.#head }
    this.#check(this.#prologue, frame)
    this.#prologue = undefined
    this.#head = undefined
    this.#part = new Part(PROLOGUE_BYTES, this.#allocate)
    return frame
  }

  #begin(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const [magic, version, flags] = [view.getUint16(0), view.getUint8(2), view.getUint8(3)]
    if (magic !== MAGIC) throw broken(`a frame begins with ${magic.toString(16)}`)
    if (version !== VERSION) throw broken(`frames have version ${version}, this program reads ${VERSION}`)
    if (flags > FLAG_CRC32) throw broken(`flags ${flags} are unknown`)
    const headBytes = view.getUint32(4)
    this.#bodyBytes = view.getUint32(8)
    limit('head', headBytes, this.#limits.maxHeadBytes)
    limit('body', this.#bodyBytes, this.#limits.maxBodyBytes)
    this.#prologue = { bytes, crc32: flags === FLAG_CRC32 ? view.getUint32(CHECKED_BYTES) : undefined }
    this.#part = new Part(headBytes, this.#allocate)
  }

  #check(prologue: Prologue, frame: Frame): void {
    if (this.#crc32 === undefined || prologue.crc32 === undefined) return
    if (checksum(this.#crc32, prologue.bytes, frame) === prologue.crc32) return
    throw new AtollError('ATOLL_CORRUPT', 'a frame fails its checksum')
  }
}

/** A part of a known size that is being filled. */
class Part {
  readonly #length: number
  readonly #allocate: Allocate
  #own: Uint8Array | undefined
  #filled = 0
  #bytes: Uint8Array | undefined

  constructor(length: number, allocate: Allocate) {
    this.#length = length
    this.#allocate = allocate
  }

  get empty(): boolean {
    return this.#filled === 0
  }

  /** Of the array that it is copied into, if it does not lie within one piece. */
  get ownBytes(): number {
    return this.#own?.length ?? 0
  }

  /** All of it, once it is complete. */
  get bytes(): Uint8Array | undefined {
    return this.#bytes
  }

  /** Takes what it needs of the piece; returns how much that was. */
  fill(piece: Uint8Array, at: number): number {
    const length = Math.min(this.#length - this.#filled, piece.length - at)
    if (length === this.#length) {
      this.#bytes = own(new Uint8Array(piece.buffer, piece.byteOffset + at, length))
    } else if (length > 0) {
      this.#own ??= this.#allocate(this.#length)
      this.#own.set(piece.subarray(at, at + length), this.#filled)
      if (this.#filled + length === this.#length) this.#bytes = this.#own
    }
    this.#filled += length
    return length
  }
}

/** A view that would keep more than twice its own size alive becomes a copy. */
function own(view: Uint8Array): Uint8Array {
  return view.length * 2 >= view.buffer.byteLength ? view : new Uint8Array(view)
}

function checksum(crc32: Crc32, prologue: Uint8Array, frame: Frame): number {
  const start = crc32(frame.head, crc32(prologue.subarray(0, CHECKED_BYTES)))
  return frame.body === undefined ? start : crc32(frame.body, start)
}

function limit(part: string, bytes: number, max: number): void {
  if (bytes <= max) return
  throw new AtollError('ATOLL_TOO_LARGE', `a frame has a ${part} of ${bytes} bytes; the limit is ${max}`)
}

function broken(why: string): AtollError {
  return new AtollError('ATOLL_PROTOCOL', `the peer does not speak in frames: ${why}`)
}
