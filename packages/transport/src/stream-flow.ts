/**
 * What a chunk costs in credit beside its bytes: about what it costs in memory beside them. Without it a peer that sends
 * single bytes could fill a window of 4 MiB with four million queued objects.
 */
const CHUNK_COST = 64

/** The larger part of the window that one chunk may take, so that a writer never waits for a grant that is not due. */
const CHUNKS_PER_WINDOW = 2
const GRANTS_PER_WINDOW = 4

/** The sending side of a stream's flow control: how much was sent, and how much may be. */
export class SendFlow {
  readonly #maxChunkBytes: number
  #limit: number
  #spent = 0
  #offset = 0

  constructor(windowBytes: number, chunkBytes: number) {
    this.#limit = windowBytes
    this.#maxChunkBytes = Math.max(
      1,
      Math.min(chunkBytes, Math.floor(windowBytes / CHUNKS_PER_WINDOW) - CHUNK_COST),
    )
  }

  /** Bytes sent so far. */
  get offset(): number {
    return this.#offset
  }

  /** How many of `bytes` go into the next chunk; 0 if it must wait for credit. */
  next(bytes: number): number {
    const length = Math.min(bytes, this.#maxChunkBytes)
    return this.#spent + length + CHUNK_COST <= this.#limit ? length : 0
  }

  sent(bytes: number): void {
    this.#spent += bytes + CHUNK_COST
    this.#offset += bytes
  }

  /** The reader's limit, which only grows: an older one that comes late changes nothing. */
  granted(limit: number): void {
    this.#limit = Math.max(this.#limit, limit)
  }
}

/** `take` it; ignore a `repeat`; the stream is broken by a `gap` (chunks were lost) or an `overrun` (of the credit). */
export type Arrival = 'take' | 'repeat' | 'gap' | 'overrun'

/** The receiving side: what arrived, what the reader consumed, and what the writer may send. */
export class ReceiveFlow {
  readonly #windowBytes: number
  #offset = 0
  #received = 0
  #consumed = 0
  #limit: number

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes
    this.#limit = windowBytes
  }

  /** Bytes received so far. */
  get offset(): number {
    return this.#offset
  }

  /** What the writer may spend in all. */
  get limit(): number {
    return this.#limit
  }

  arrived(offset: number, bytes: number): Arrival {
    if (offset > this.#offset) return 'gap'
    if (offset < this.#offset || bytes === 0) return 'repeat'
    if (this.#received + bytes + CHUNK_COST > this.#limit) return 'overrun'
    this.#received += bytes + CHUNK_COST
    this.#offset += bytes
    return 'take'
  }

  /** The reader took a chunk. True if the limit rose enough that the writer should hear of it. */
  consumed(bytes: number): boolean {
    this.#consumed += bytes + CHUNK_COST
    const limit = this.#consumed + this.#windowBytes
    if (limit - this.#limit < this.#windowBytes / GRANTS_PER_WINDOW) return false
    this.#limit = limit
    return true
  }
}
