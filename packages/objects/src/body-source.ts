import { AtollError, describe, messageOf, utf8 } from '@atoll/core'
import { abortable, throwIfAborted } from './abort.ts'
import { checkWellFormed } from './object-name.ts'

/** A web `ReadableStream`, as far as it is used. */
export interface ReadableStreamLike {
  getReader(): {
    read(): Promise<{ readonly done: boolean; readonly value?: unknown }>
    cancel(reason?: unknown): Promise<void>
  }
}

/**
 * What can be put: bytes, text (stored as UTF-8), or a stream of bytes. Bytes that were handed over must not change
 * until the call is over.
 */
export type ObjectBody =
  | Uint8Array
  | string
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | ReadableStreamLike

export interface BodyLimits {
  /** What the body must have, if that was announced. */
  readonly length: number | undefined
  readonly maxBytes: number
  readonly signal: AbortSignal | undefined
}

interface Chunks {
  next(): Promise<IteratorResult<unknown, unknown>> | IteratorResult<unknown, unknown>
  return?(): unknown
}

/** A body as chunks of bytes, whatever it was given as. Whatever is wrong with it is `ATOLL_INVALID_BODY`. */
export class BodySource {
  /** How many bytes the body has, if that was announced or can be seen. */
  readonly knownBytes: number | undefined
  readonly #chunks: Chunks
  readonly #limits: BodyLimits
  #bytes = 0
  #ended = false
  #waiting = false

  /** Throws `TypeError` for what is no body, and `RangeError` for text that is not well-formed. */
  constructor(body: ObjectBody, limits: BodyLimits) {
    if (limits.length !== undefined) checkSize(limits.length, limits.maxBytes)
    this.#chunks = chunksOf(body)
    this.#limits = limits
    this.knownBytes = limits.length ?? (body instanceof Uint8Array ? body.length : undefined)
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

  /** Lets go of the body. One that is being waited for is told and left alone. */
  async close(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    try {
      const closing = this.#chunks.return?.()
      if (!this.#waiting) await closing
      else void Promise.resolve(closing).catch(() => {})
    } catch {
      // The call has its own outcome; how the body took leave does not change it.
    }
  }

  async #pull(): Promise<IteratorResult<unknown, unknown>> {
    const { signal } = this.#limits
    throwIfAborted(signal)
    this.#waiting = true
    const pulled = await abortable(signal, this.#guarded())
    this.#waiting = false
    return pulled
  }

  async #guarded(): Promise<IteratorResult<unknown, unknown>> {
    try {
      return await this.#chunks.next()
    } catch (cause) {
      this.#ended = true
      throw invalid(`the body failed after ${this.#bytes} bytes: ${messageOf(cause)}`, cause)
    }
  }

  #isFull(chunk: unknown): chunk is Uint8Array {
    if (!(chunk instanceof Uint8Array))
      throw invalid(`the body must consist of Uint8Array chunks, got ${describe(chunk)}`)
    this.#bytes += chunk.length
    const { length, maxBytes } = this.#limits
    if (length !== undefined && this.#bytes > length) throw invalid(`the body has more than ${length} bytes`)
    checkSize(this.#bytes, maxBytes)
    return chunk.length > 0
  }

  #end(): void {
    this.#ended = true
    const { length } = this.#limits
    if (length !== undefined && this.#bytes !== length)
      throw invalid(`the body has ${this.#bytes} bytes, ${length} were announced`)
  }
}

export function invalid(message: string, cause?: unknown): AtollError {
  return new AtollError('ATOLL_INVALID_BODY', message, { cause })
}

function checkSize(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes)
    throw new AtollError('ATOLL_TOO_LARGE', `an object may have ${maxBytes} bytes, not ${bytes}`)
}

function chunksOf(body: unknown): Chunks {
  if (typeof body === 'string') return [utf8(checkWellFormed('body', body))].values()
  if (body instanceof Uint8Array) return [body].values()
  if (typeof body === 'object' && body !== null && !ArrayBuffer.isView(body)) {
    if (isAsyncIterable(body)) return body[Symbol.asyncIterator]()
    if (isIterable(body)) return body[Symbol.iterator]()
    if (isReadableStream(body)) return readerChunks(body)
  }
  throw new TypeError(`body must be bytes, text or a stream of bytes, got ${describe(body)}`)
}

function readerChunks(stream: ReadableStreamLike): Chunks {
  const reader = stream.getReader()
  return {
    next: async () => {
      const { done, value } = await reader.read()
      return { done, value }
    },
    return: () => reader.cancel(),
  }
}

function isAsyncIterable(body: object): body is AsyncIterable<unknown> {
  return Symbol.asyncIterator in body && typeof body[Symbol.asyncIterator] === 'function'
}

function isIterable(body: object): body is Iterable<unknown> {
  return Symbol.iterator in body && typeof body[Symbol.iterator] === 'function'
}

function isReadableStream(body: object): body is ReadableStreamLike {
  return 'getReader' in body && typeof body.getReader === 'function'
}
