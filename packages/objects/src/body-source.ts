import { AtollError, type Clock, isBytes, messageOf, SECOND_MS } from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import {
  type Chunks,
  checkChunk,
  chunksOf,
  incomplete,
  inOnePiece,
  invalid,
  isAtHand,
  type ObjectBody,
  piecesAtHand,
} from './body-chunks.ts'

/** How long a call waits for a body to take leave: a source that never does is left alone. */
const LEAVE_MS = SECOND_MS

interface BodyLimits {
  /** What the body must have, if that was announced. */
  readonly length: number | undefined
  readonly maxBytes: number
  readonly signal: AbortSignal | undefined
}

const NO_LIMITS: BodyLimits = { length: undefined, maxBytes: Number.POSITIVE_INFINITY, signal: undefined }

/**
 * A body as chunks of bytes, whatever it was given as. One that fails or ends too early is `ATOLL_INCOMPLETE_BODY`;
 * whatever else is wrong with it is `ATOLL_INVALID_BODY`. Whoever has made one closes it, also if nothing of it was read: a
 * stream that nobody ends keeps its file or connection.
 */
export class BodySource {
  /** Whether the chunks stay as they are until the call is over; else each does until the next one is asked for. */
  readonly staying: boolean
  readonly #clock: Pick<Clock, 'timer'>
  readonly #chunks: Chunks
  /** How many bytes the body has, if that can be seen. */
  readonly #seenBytes: number | undefined
  #limits = NO_LIMITS
  #bytes = 0
  #ended = false
  #waiting = false
  #begun = false

  /** Throws as `chunksOf`. */
  constructor(body: ObjectBody, clock: Pick<Clock, 'timer'>) {
    this.#chunks = chunksOf(body)
    this.#clock = clock
    this.staying = isAtHand(body)
    this.#seenBytes = isBytes(body) ? body.length : undefined
  }

  /** Before the first chunk is asked for. Throws `ATOLL_TOO_LARGE` if more is announced than an object may have. */
  limitTo(limits: BodyLimits): void {
    if (limits.length !== undefined) checkSize(limits.length, limits.maxBytes)
    this.#limits = limits
  }

  /** How many bytes the body has, if that was announced or can be seen. */
  get knownBytes(): number | undefined {
    return this.#limits.length ?? this.#seenBytes
  }

  /** True once `next` has answered undefined. */
  get ended(): boolean {
    return this.#ended
  }

  /** The next chunk, never an empty one; undefined at the end. Throws also if the length is not as announced. */
  async next(): Promise<Uint8Array | undefined> {
    while (!this.#ended) {
      const { done, value } = await this.#pull()
      if (done) this.#end()
      else if (this.#isFull(value)) return value
    }
    return undefined
  }

  /**
   * Lets go of the body, and waits until it has taken leave, a second at most. One that is being waited for is told and
   * left alone.
   */
  async close(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    try {
      this.#chunks.destroy?.()
      const leaving = Promise.resolve(this.#chunks.return?.()).catch(() => {})
      if (!this.#waiting) await this.#withinPatience(leaving)
    } catch {
      // The call has its own outcome; how the body took leave does not change it.
    }
  }

  #withinPatience(leaving: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.timer(LEAVE_MS, resolve)
      void leaving.then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  async #pull(): Promise<IteratorResult<unknown, unknown>> {
    const { signal } = this.#limits
    throwIfAborted(signal)
    this.#waiting = true
    if (!this.#begun) await this.#begin()
    const pulled = await abortable(signal, this.#guarded())
    this.#waiting = false
    return pulled
  }

  async #begin(): Promise<void> {
    this.#begun = true
    if (this.#limits.length === 0 || !(await this.#chunks.isAtEnd?.())) return
    throw invalid('the body is a stream at its end already; to put an empty object, announce a length of 0')
  }

  async #guarded(): Promise<IteratorResult<unknown, unknown>> {
    let answer: unknown
    try {
      answer = await this.#chunks.next()
    } catch (cause) {
      this.#ended = true
      throw incomplete(`the body failed after ${this.#bytes} bytes: ${messageOf(cause)}`, cause)
    }
    if (isResult(answer)) return answer
    throw invalid('the body is no stream: its iterator answers something else than { done, value }')
  }

  #isFull(chunk: unknown): chunk is Uint8Array {
    checkChunk(chunk)
    this.#bytes += chunk.length
    checkNotMore(this.#bytes, this.#limits)
    return chunk.length > 0
  }

  #end(): void {
    this.#ended = true
    checkNotLess(this.#bytes, this.#limits)
  }
}

function isResult(answer: unknown): answer is IteratorResult<unknown, unknown> {
  return typeof answer === 'object' && answer !== null
}

/** All of a body of which nothing is still to come. Throws as a `BodySource` does. */
export function wholeOf(body: ObjectBody, limits: Omit<BodyLimits, 'signal'>): Uint8Array {
  if (limits.length !== undefined) checkSize(limits.length, limits.maxBytes)
  const whole = inOnePiece(piecesAtHand(body))
  checkNotMore(whole.length, limits)
  checkNotLess(whole.length, limits)
  return whole
}

function checkNotMore(bytes: number, { length, maxBytes }: Omit<BodyLimits, 'signal'>): void {
  if (length !== undefined && bytes > length) throw invalid(`the body has more than ${length} bytes`)
  checkSize(bytes, maxBytes)
}

function checkNotLess(bytes: number, { length }: Omit<BodyLimits, 'signal'>): void {
  if (length !== undefined && bytes < length)
    throw incomplete(`the body ended after ${bytes} of the ${length} bytes that were announced`)
}

function checkSize(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes)
    throw new AtollError('ATOLL_TOO_LARGE', `an object may have at most ${maxBytes} bytes, got ${bytes}`)
}
