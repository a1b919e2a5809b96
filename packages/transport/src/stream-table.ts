import type { AtollError } from '@atoll/core'
import type { DuplexStream } from './byte-stream.ts'
import { ABORT, CHUNK, type Head, STATE } from './protocol.ts'

/** The open streams of one connection. */
export class StreamTable {
  readonly #streams = new Map<number, DuplexStream>()

  get size(): number {
    return this.#streams.size
  }

  add(stream: DuplexStream): void {
    this.#streams.set(stream.id, stream)
  }

  delete(id: number): void {
    this.#streams.delete(id)
  }

  /** Hands a message to its stream; false if it is not for a stream. One for a stream that is over means nothing. */
  receive(head: Head, body: Uint8Array): boolean {
    switch (head.kind) {
      case CHUNK:
        this.#streams.get(head.id)?.onChunk(head.offset, body)
        return true
      case STATE:
        this.#streams.get(head.id)?.onState(head)
        return true
      case ABORT:
        this.#streams.get(head.id)?.fail(head.error)
        return true
      default:
        return false
    }
  }

  onDrained(): void {
    for (const stream of this.#streams.values()) stream.onDrained()
  }

  /**
   * Where calls never leave room, one chunk of one stream goes all the same, of each in its turn: less than has just
   * left, so that what waits does not become more.
   */
  giveTurn(): void {
    for (const stream of this.#streams.values()) {
      if (!stream.takeTurn()) continue
      this.delete(stream.id)
      this.add(stream)
      return
    }
  }

  fail(error: AtollError): void {
    for (const stream of [...this.#streams.values()]) stream.fail(error)
  }
}
