import { encodeHeader, ORDINARY, URGENT } from './protocol.ts'

/** Parts up to this size are copied together: each part of a gathering write costs about as much as copying so much. */
const COPY_BYTES = 4096

/** Bytes in a row, given in parts and taken in pieces. */
class Lane {
  readonly #kind: number
  #parts: (Uint8Array | undefined)[] = []
  /** The first part that is not all taken, and how much of it is. */
  #at = 0
  #taken = 0
  bytes = 0

  constructor(kind: number) {
    this.#kind = kind
  }

  push(parts: readonly Uint8Array[]): void {
    for (const part of parts) {
      this.#parts.push(part)
      this.bytes += part.length
    }
  }

  clear(): void {
    this.#parts = []
    this.#at = 0
    this.#taken = 0
    this.bytes = 0
  }

  /** A piece of at most `maxBytes` in parts. */
  take(maxBytes: number): Uint8Array[] {
    let left = Math.min(maxBytes, this.bytes)
    const taken = [encodeHeader(this.#kind, left)]
    this.bytes -= left
    while (left > 0) {
      const part = this.#parts[this.#at]
      if (part === undefined) break
      const length = Math.min(left, part.length - this.#taken)
      taken.push(part.subarray(this.#taken, this.#taken + length))
      left -= length
      this.#taken += length
      if (this.#taken === part.length) this.#next()
    }
    return gather(taken)
  }

  #next(): void {
    this.#parts[this.#at++] = undefined
    this.#taken = 0
    // Rarely, since it costs as much as the array is long.
    if (this.#at * 2 < this.#parts.length) return
    this.#parts = this.#parts.slice(this.#at)
    this.#at = 0
  }
}

/**
 * What waits to be sent, in the order in which it goes: signs of life, urgent frames, all others. An urgent frame waits
 * for the piece that is being written, never for a whole frame.
 */
export class Outbox {
  #control: Uint8Array[] = []
  readonly #urgent = new Lane(URGENT)
  readonly #ordinary = new Lane(ORDINARY)

  /** Bytes of frames that wait. */
  get bytes(): number {
    return this.#urgent.bytes + this.#ordinary.bytes
  }

  /** True if nothing waits. */
  get empty(): boolean {
    return this.#control.length === 0 && this.bytes === 0
  }

  pushControl(piece: Uint8Array): void {
    this.#control.push(piece)
  }

  /** The parts of a frame, which are not copied but for small ones, and must not change any more. */
  pushFrame(parts: readonly Uint8Array[], urgent: boolean): void {
    const lane = urgent ? this.#urgent : this.#ordinary
    lane.push(parts)
  }

  clear(): void {
    this.#control = []
    this.#urgent.clear()
    this.#ordinary.clear()
  }

  /** The next piece in parts, with at most `maxBytes` of frames; undefined if nothing waits. */
  next(maxBytes: number): Uint8Array[] | undefined {
    const control = this.#control.shift()
    if (control !== undefined) return [control]
    if (this.#urgent.bytes > 0) return this.#urgent.take(maxBytes)
    return this.#ordinary.bytes > 0 ? this.#ordinary.take(maxBytes) : undefined
  }
}

/** Copies small parts that lie side by side into one. */
function gather(parts: readonly Uint8Array[]): Uint8Array[] {
  const gathered: Uint8Array[] = []
  let small: Uint8Array[] = []
  const flush = () => {
    const [first] = small
    if (first !== undefined) gathered.push(small.length === 1 ? first : Buffer.concat(small))
    small = []
  }
  for (const part of parts) {
    if (part.length <= COPY_BYTES) {
      small.push(part)
    } else {
      flush()
      gathered.push(part)
    }
  }
  flush()
  return gathered
}
