import { borrowBuffer, borrowedCopy, EMPTY_BYTES } from '@atoll/core'

/**
 * Cuts chunks of any size into blocks of one size. Every byte is copied once, here, and not again on its way to the disks:
 * a block may still be on its way to the slowest of them when the put is over and the chunks are the caller's again. The
 * blocks are borrowed: whoever knows that nobody looks at one any more may return it.
 */
export class BlockCutter {
  readonly #blockBytes: number
  /** The beginning of a block: a view while it comes from one chunk, then a copy with room for the rest. */
  #begun: Uint8Array | undefined
  #room: Uint8Array | undefined
  #filled = 0

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes
  }

  /** Takes a chunk, which must not change until `end`, and yields the blocks that it completes. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, void> {
    let rest = chunk
    if (this.#filled > 0) {
      rest = this.#fill(rest)
      if (this.#filled < this.#blockBytes) return
      yield this.#take()
    }
    while (rest.length >= this.#blockBytes) {
      yield borrowedCopy(rest.subarray(0, this.#blockBytes))
      rest = rest.subarray(this.#blockBytes)
    }
    if (rest.length > 0) {
      this.#begun = rest
      this.#filled = rest.length
    }
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
    const room = new Uint8Array(borrowBuffer(this.#blockBytes), 0, this.#blockBytes)
    if (this.#begun !== undefined) room.set(this.#begun)
    this.#begun = undefined
    return room
  }

  #take(): Uint8Array {
    const block = this.#room?.subarray(0, this.#filled) ?? borrowedCopy(this.#begun ?? EMPTY_BYTES)
    this.#begun = undefined
    this.#room = undefined
    this.#filled = 0
    return block
  }
}
