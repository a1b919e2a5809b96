import type { AtollError } from '@atoll/core'
import { SendFlow } from './stream-flow.ts'

export interface StreamOutputParts {
  readonly label: string
  /** What the reader granted at the start, in bytes. */
  readonly windowBytes: number
  readonly chunkBytes: number
  /** True while the connection has no room. */
  readonly isFull: () => boolean
  readonly send: (offset: number, chunk: Uint8Array) => void
}

/** The bytes that go out, as the reader's credit and the connection allow. */
export class StreamOutput {
  readonly #parts: StreamOutputParts
  readonly #flow: SendFlow
  #writing = false
  /** The next chunk may go though the connection has no room. */
  #hasTurn = false
  /** Of the write that waits. */
  #leftBytes = 0
  /** Resumes the write that waits. */
  #resume: (() => void) | undefined
  #closed: AtollError | undefined

  constructor(parts: StreamOutputParts) {
    this.#parts = parts
    this.#flow = new SendFlow(parts.windowBytes, parts.chunkBytes)
  }

  /** Bytes sent so far. */
  get offset(): number {
    return this.#flow.offset
  }

  /** True once nothing can be written any more. */
  get closed(): boolean {
    return this.#closed !== undefined
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.assertIdle()
    if (this.#closed !== undefined) throw this.#closed
    this.#writing = true
    try {
      for (let at = 0; at < chunk.length; ) at += await this.#writeSome(chunk, at)
    } finally {
      this.#writing = false
    }
  }

  /** Throws `TypeError` while a write has not ended: unawaited writes would pile up past every limit. */
  assertIdle(): void {
    if (this.#writing)
      throw new TypeError(`a write to ${this.#parts.label} has not ended yet: await it first`)
  }

  granted(limit: number): void {
    this.#flow.granted(limit)
    this.wake()
  }

  /** Lets a write that waits look again. */
  wake(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }

  /** Lets one chunk go though the connection has no room. False if none waits for that. */
  takeTurn(): boolean {
    if (this.#resume === undefined || this.#flow.next(this.#leftBytes) === 0) return false
    this.#hasTurn = true
    this.wake()
    return true
  }

  /** No more bytes go out; a write from now on is told `reason`. */
  close(reason: AtollError): void {
    this.#closed ??= reason
    this.wake()
  }

  async #writeSome(chunk: Uint8Array, at: number): Promise<number> {
    for (;;) {
      if (this.#closed !== undefined) throw this.#closed
      const length = this.#flow.next(chunk.length - at)
      if (length > 0 && (this.#hasTurn || !this.#parts.isFull())) {
        this.#hasTurn = false
        this.#parts.send(this.#flow.offset, length === chunk.length ? chunk : chunk.subarray(at, at + length))
        this.#flow.sent(length)
        return length
      }
      this.#leftBytes = chunk.length - at
      await new Promise<void>((resolve) => {
        this.#resume = resolve
      })
    }
  }
}
