import { borrowBuffer, borrowedCopy, EMPTY_BYTES } from '@atoll/core'

export interface Cutting {
  /** Whether chunks stay as they are until `end`; else each does until the next one is asked for. */
  readonly staying: boolean
  /** Of all chunks together; undefined if nobody knows. They may be fewer, but not more. */
  readonly knownBytes?: number | undefined
}

/**
 * Cuts chunks of any size into blocks of one size. Every byte is copied once, here, and not again on its way to the disks:
 * a block may still be on its way to the slowest of them when the put is over and the chunks are the caller's again. The
 * blocks are borrowed: whoever knows that nobody looks at one any more may return it.
 */
export class BlockCutter {
  readonly #blockBytes: number
  readonly #staying: boolean
  /** Bytes that are still to come, if that is known. */
  #leftBytes: number
  /** The beginning of a block: a view while it comes from one chunk that stays, else a copy with room for the rest. */
  #begun: Uint8Array | undefined
  #room: Uint8Array | undefined
  #filled = 0

  constructor(blockBytes: number, { staying, knownBytes = Number.POSITIVE_INFINITY }: Cutting) {
    this.#blockBytes = blockBytes
    this.#staying = staying
    this.#leftBytes = knownBytes
  }

  /** Takes a chunk, which must not change until all that it yields, the blocks that it completes, was taken. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, void> {
    let rest = chunk
    if (this.#filled > 0) {
      rest = this.#fill(rest)
      if (this.#filled < this.#blockBytes) return
      yield this.#take()
    }
    while (rest.length >= this.#blockBytes) {
      this.#leftBytes -= this.#blockBytes
      yield borrowedCopy(rest.subarray(0, this.#blockBytes))
      rest = rest.subarray(this.#blockBytes)
    }
    if (rest.length === 0) return
    this.#begun = rest
    this.#filled = rest.length
    if (!this.#staying) this.#room = this.#copyOfBegun()
  }

  /** The last block, which may be shorter; undefined if nothing is left. */
  end(): Uint8Array | undefined {
    return this.#filled === 0 ? undefined : this.#take()
  }

  /** Answers what does not fit. */
  #fill(chunk: Uint8Array): Uint8Array {
    this.#room ??= this.#copyOfBegun()
    const fits = chunk.subarray(0, this.#blockBytes - this.#filled)
    this.#room.set(fits, this.#filled)
    this.#filled += fits.length
    return chunk.subarray(fits.length)
  }

  #copyOfBegun(): Uint8Array {
    // Of a body that has more than was said nothing is cut.
    const bytes = Math.max(this.#filled, Math.min(this.#blockBytes, this.#leftBytes))
    const room = new Uint8Array(borrowBuffer(bytes), 0, bytes)
    if (this.#begun !== undefined) room.set(this.#begun)
    this.#begun = undefined
    return room
  }

  #take(): Uint8Array {
    const block = this.#room?.subarray(0, this.#filled) ?? borrowedCopy(this.#begun ?? EMPTY_BYTES)
    this.#begun = undefined
    this.#room = undefined
    this.#leftBytes -= this.#filled
    this.#filled = 0
    return block
  }
}
