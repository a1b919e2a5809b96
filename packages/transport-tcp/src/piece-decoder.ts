import { GOODBYE, HEADER_BYTES, MAX_CONTROL_BYTES, MAX_LANE_BYTES, ORDINARY, URGENT } from './protocol.ts'
import { because, otherSetup } from './refusal.ts'

export interface Piece {
  readonly kind: number
  /** All of it; of a lane's piece, what has arrived of it. */
  readonly bytes: Uint8Array
  /** Whether the bytes are only lent: whoever keeps some copies them. */
  readonly isLent: boolean
}

/** Takes apart what arrives, in chunks of any size. Bytes of a lane are views of the chunk, and are not held back. */
export class PieceDecoder {
  #header = new Uint8Array(HEADER_BYTES)
  #headerBytes = 0
  #kind = 0
  /** What is missing of the piece. */
  #left = 0
  #control: Uint8Array[] = []
  #isFirst = true

  /** Throws `ATOLL_PROTOCOL` or `ATOLL_TOO_LARGE` for what is no piece; do not go on then. */
  push(chunk: Uint8Array, isLent = false): Piece[] {
    const pieces: Piece[] = []
    let at = 0
    while (at < chunk.length) {
      if (this.#headerBytes < HEADER_BYTES) {
        this.#header[this.#headerBytes++] = chunk[at++] ?? 0
        if (this.#headerBytes < HEADER_BYTES) continue
        this.#begin()
        if (this.#left === 0) this.#end(pieces)
      } else {
        const bytes = chunk.subarray(at, at + this.#left)
        at += bytes.length
        this.#left -= bytes.length
        if (isLane(this.#kind)) pieces.push({ kind: this.#kind, bytes, isLent })
        else this.#control.push(new Uint8Array(bytes))
        if (this.#left === 0) this.#end(pieces)
      }
    }
    return pieces
  }

  #begin(): void {
    const [kind = 0, high = 0, middle = 0, low = 0] = this.#header
    if (this.#isFirst && isTlsRecord(this.#header)) throw otherSetup('tls')
    this.#isFirst = false
    if (kind > GOODBYE)
      throw because('malformed', `the peer does not speak in pieces: kind ${kind} is unknown`)
    this.#kind = kind
    this.#left = (high << 16) | (middle << 8) | low
    const max = isLane(kind) ? MAX_LANE_BYTES : MAX_CONTROL_BYTES
    if (this.#left > max) {
      throw because('too-large', `a piece of kind ${kind} has ${this.#left} bytes; the limit is ${max}`)
    }
  }

  #end(pieces: Piece[]): void {
    if (!isLane(this.#kind))
      pieces.push({ kind: this.#kind, bytes: Buffer.concat(this.#control), isLent: false })
    this.#control = []
    this.#headerBytes = 0
  }
}

function isLane(kind: number): boolean {
  return kind === ORDINARY || kind === URGENT
}

/** RFC 8446, 5.1: the content type of an alert or a handshake message, and major version 3. */
function isTlsRecord([type, major]: Uint8Array): boolean {
  return (type === 21 || type === 22) && major === 3
}
