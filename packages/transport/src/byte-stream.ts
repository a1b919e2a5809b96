import { AtollError, isAtollError, messageOf } from '@atoll/core'
import type { Deadlines, Expiring } from './deadlines.ts'
import { ABORT, encodeChunk, encodeFailure, encodeState, type State } from './protocol.ts'
import { DONE, StreamInput } from './stream-input.ts'
import { StreamOutput } from './stream-output.ts'
import type { Wire } from './wire.ts'

/**
 * Bytes in both directions. Neither side holds more than its window; where one chunk ends and the next begins is not
 * kept. Iterating reads what the other side writes, and throws if the stream fails; leaving the loop early aborts it.
 */
export interface ByteStream extends AsyncIterable<Uint8Array> {
  /**
   * Resolves when all of `chunk`, which must not change from now on, is handed to the connection, so when the reader had
   * room for it. Await it before the next one. Rejects with the error that ended the stream, and with `ATOLL_CLOSED` if
   * the other side finished without reading to the end.
   */
  write(chunk: Uint8Array): Promise<void>
  /** Says that no more bytes come. The other direction goes on. */
  end(): void
  /** Ends both directions at once. The other side gets `error`, wrapped in `ATOLL_ABORTED` unless it is an `AtollError`. */
  abort(error: unknown): void
}

export interface DuplexStreamParts {
  readonly id: number
  /** The other side and the method, for messages. */
  readonly label: string
  readonly wire: Wire
  readonly deadlines: Deadlines
  readonly nowMs: () => number
  /** What this side grants, and what the other side granted at the start, in bytes. */
  readonly windowBytes: number
  readonly peerWindowBytes: number
  readonly chunkBytes: number
  readonly idleTimeoutMs: number
  /** Called once, when both directions have ended; with an error if the stream failed. */
  readonly onOver: (error: AtollError | undefined) => void
}

/** How often, within the idle timeout, a side that has nothing to say speaks up all the same. */
const SIGNS_PER_TIMEOUT = 3

/** One side of a byte stream. */
export class DuplexStream implements ByteStream, Expiring {
  bucket: Set<Expiring> | undefined
  readonly id: number
  readonly #parts: DuplexStreamParts
  readonly #input: StreamInput
  readonly #output: StreamOutput
  #over = false
  #ended = false
  #deaf = false
  #heardMs: number
  #spoke = false

  constructor(parts: DuplexStreamParts) {
    const { id, label, wire, windowBytes, peerWindowBytes, chunkBytes } = parts
    this.id = id
    this.#parts = parts
    this.#input = new StreamInput(label, windowBytes, () => this.#tell())
    this.#output = new StreamOutput({
      label,
      windowBytes: peerWindowBytes,
      chunkBytes,
      isFull: () => wire.full,
      send: (offset, chunk) => {
        this.#spoke = true
        wire.send(encodeChunk(id, offset), chunk)
      },
    })
    this.#heardMs = parts.nowMs()
    this.#watch()
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#output.write(chunk)
  }

  end(): void {
    this.#output.assertIdle()
    if (this.#output.closed) return
    this.#endOutput()
    this.#tell()
    this.#settle()
  }

  abort(error: unknown): void {
    if (this.#over) return
    const reason = isAtollError(error)
      ? error
      : new AtollError('ATOLL_ABORTED', `${this.#parts.label} was aborted: ${messageOf(error)}`, {
          cause: error,
        })
    this.#parts.wire.send(encodeFailure(ABORT, this.id, reason))
    this.fail(reason)
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return {
      next: () => this.#input.read(),
      return: async () => {
        if (!this.#input.ended) this.abort(new Error('the reader left'))
        this.#input.discard()
        return DONE
      },
    }
  }

  /** This side is done with it: it neither writes nor reads any more. */
  finish(): void {
    if (this.#over) return
    this.#endOutput()
    this.#deaf = true
    this.#input.end()
    this.#input.discard()
    this.#tell()
    this.#settle()
  }

  onChunk(offset: number, chunk: Uint8Array): void {
    if (this.#over || this.#input.ended) return
    this.#heardMs = this.#parts.nowMs()
    const problem = this.#input.take(offset, chunk)
    if (problem !== undefined) this.abort(problem)
  }

  onState(state: State): void {
    if (this.#over) return
    this.#heardMs = this.#parts.nowMs()
    const problem = this.#input.missing(state.offset)
    if (problem !== undefined) {
      this.abort(problem)
      return
    }
    if (state.ended) this.#input.end()
    if (state.deaf) {
      const message = `${this.#parts.label} finished without reading to the end`
      this.#output.close(new AtollError('ATOLL_CLOSED', message, { definite: false }))
    }
    this.#output.granted(state.limit)
    this.#settle()
  }

  /** The connection has room again. */
  onDrained(): void {
    this.#output.wake()
  }

  /** One chunk may go though the connection has no room. False if none waits for that. */
  takeTurn(): boolean {
    return this.#output.takeTurn()
  }

  /** Ends both directions without a word to the other side. */
  fail(error: AtollError): void {
    if (this.#over) return
    this.#output.close(error)
    this.#input.fail(error)
    this.#leave(error)
  }

  /** A third of the idle timeout is over. */
  expire(): void {
    const silentMs = this.#parts.nowMs() - this.#heardMs
    if (silentMs >= this.#parts.idleTimeoutMs) {
      const message = `${this.#parts.label} was silent for ${Math.round(silentMs)} ms`
      this.abort(new AtollError('ATOLL_TIMEOUT', message))
      return
    }
    if (!this.#spoke) this.#tell()
    this.#watch()
  }

  #endOutput(): void {
    this.#ended = true
    this.#output.close(
      new AtollError('ATOLL_CLOSED', `${this.#parts.label} was ended: no more can be written`),
    )
  }

  #tell(): void {
    this.#spoke = true
    const { limit } = this.#input
    const { offset } = this.#output
    this.#parts.wire.send(encodeState({ id: this.id, limit, offset, ended: this.#ended, deaf: this.#deaf }))
  }

  #watch(): void {
    this.#spoke = false
    this.#parts.deadlines.add(this, this.#parts.nowMs(), this.#parts.idleTimeoutMs / SIGNS_PER_TIMEOUT)
  }

  #settle(): void {
    if (!this.#over && this.#input.ended && this.#output.closed) this.#leave(undefined)
  }

  #leave(error: AtollError | undefined): void {
    this.#over = true
    this.#parts.deadlines.remove(this)
    this.#parts.onOver(error)
  }
}
