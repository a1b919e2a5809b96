import {
  AtollError,
  assert,
  checkWellFormed,
  concatBytes,
  describe,
  isBytes,
  utf8,
  wrongType,
} from '@atoll/core'

/** A web `ReadableStream`, as far as it is used. */
export interface ReadableStreamLike {
  readonly locked?: boolean
  getReader(): {
    readonly closed?: Promise<unknown>
    read(): Promise<{ readonly done: boolean; readonly value?: unknown }>
    cancel(reason?: unknown): Promise<void>
  }
}

/**
 * What can be put: bytes, text (stored as UTF-8), or a stream of bytes. Bytes that were handed over must not change
 * until the call is over; of a stream, each chunk must not before the next one is asked for. A stream belongs to the
 * call, which ends it whatever becomes of the object.
 *
 * A stream that was read before, is locked, or is at its end already is refused, so that a put that is tried again with
 * the same stream replaces nothing by an empty object. Of a generator only the uses by `put` are known: one that was
 * consumed elsewhere looks like an empty one, unless a `length` is announced.
 */
export type ObjectBody =
  | Uint8Array
  | string
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>
  | ReadableStreamLike

/** The chunks of a body, one after the other. */
export interface Chunks {
  next(): Promise<IteratorResult<unknown, unknown>> | IteratorResult<unknown, unknown>
  return?(): unknown
  /** Ends the source even while a chunk is waited for. */
  destroy?(): void
  /** Whether the source has ended, asked before its first chunk. */
  isAtEnd?(): Promise<boolean>
}

/** Streams and iterators that a put was given: each can be read once, by whichever store. */
const handedOver = new WeakSet<object>()

/** Where Node's streams, web streams among them, say that somebody has read from them. */
const DISTURBED = Symbol.for('nodejs.stream.disturbed')

/** Of one UTF-16 unit in UTF-8, at most. */
const MAX_UTF8_BYTES = 3

export function invalid(message: string, cause?: unknown): AtollError {
  return new AtollError('ATOLL_INVALID_BODY', message, { cause })
}

/** The source failed, or ended too early: a client that hung up, a file that was cut. */
export function incomplete(message: string, cause?: unknown): AtollError {
  return new AtollError('ATOLL_INCOMPLETE_BODY', message, { cause })
}

/**
 * Throws `TypeError` for what is no body, `RangeError` for text that is not well-formed, and `ATOLL_INVALID_BODY` for a
 * stream that was used.
 */
export function chunksOf(body: unknown): Chunks {
  if (typeof body === 'string') return [utf8(checkWellFormed('body', body))].values()
  if (isBytes(body)) return [body].values()
  if (typeof body === 'object' && body !== null && !ArrayBuffer.isView(body)) {
    // A web stream first: its own iterator would hear of an end only behind the chunk that it waits for.
    if (isReadableStream(body)) return readerChunks(handOver(body))
    if (isAsyncIterable(body)) return asyncChunks(body)
    if (isIterable(body)) return iteratorOf(body, body[Symbol.iterator]())
  }
  throw wrongType('body', `must be bytes, text or a stream of bytes, got ${describe(body)}`)
}

/** Whether nothing of a body is still to come. */
export function isAtHand(body: unknown): body is Uint8Array | string | readonly unknown[] {
  return isBytes(body) || typeof body === 'string' || Array.isArray(body)
}

/** How many bytes a body has at most of which nothing is still to come; infinity for others, and for what is no body. */
export function bytesAtHand(body: unknown): number {
  if (isBytes(body)) return body.length
  if (typeof body === 'string') return MAX_UTF8_BYTES * body.length
  if (!Array.isArray(body)) return Number.POSITIVE_INFINITY
  return body.reduce<number>((bytes, chunk) => bytes + bytesOfChunk(chunk), 0)
}

/**
 * The pieces of such a body. Throws `RangeError` for text that is not well-formed, `ATOLL_INVALID_BODY` for bytes that
 * were transferred.
 */
export function piecesAtHand(body: ObjectBody): readonly Uint8Array[] {
  if (typeof body === 'string') return [utf8(checkWellFormed('body', body))]
  const pieces: unknown = isBytes(body) ? [body] : body
  assert(Array.isArray(pieces), 'of a body that is at hand nothing is still to come')
  for (const piece of pieces) checkChunk(piece)
  return pieces
}

/** Throws `ATOLL_INVALID_BODY` for what are no bytes, or bytes that were transferred elsewhere: these look like none. */
export function checkChunk(chunk: unknown): asserts chunk is Uint8Array {
  if (!isBytes(chunk)) throw invalid(`the body must consist of Uint8Array chunks, got ${describe(chunk)}`)
  if (chunk.length === 0 && isDetached(chunk.buffer))
    throw invalid('the body has bytes that are not there any more: their buffer was transferred elsewhere')
}

function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}

/** A single piece is not copied. */
export function inOnePiece(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces
  return first !== undefined && pieces.length === 1 ? first : concatBytes(pieces)
}

function bytesOfChunk(chunk: unknown): number {
  return isBytes(chunk) ? chunk.length : Number.POSITIVE_INFINITY
}

function readerChunks(stream: ReadableStreamLike): Chunks {
  if (stream.locked) throw invalid('the body is a stream that is locked: somebody else reads it')
  const reader = stream.getReader()
  return {
    next: async () => {
      const { done, value } = await reader.read()
      return { done, value }
    },
    return: () => reader.cancel(),
    isAtEnd: () => isSettled(reader.closed),
  }
}

function asyncChunks(body: AsyncIterable<unknown>): Chunks {
  if (!hasDestroy(body)) return iteratorOf(body, body[Symbol.asyncIterator]())
  handOver(body)
  if (saysYes(body, 'readableEnded')) throw used('is at its end already')
  if (saysYes(body, 'destroyed'))
    throw incomplete('the body is a stream that was destroyed before its end', Reflect.get(body, 'errored'))
  const chunks = body[Symbol.asyncIterator]()
  return { next: () => chunks.next(), destroy: () => body.destroy() }
}

/** An iterator that is its own source can be used once; a collection makes a new one every time. */
function iteratorOf<T extends Chunks>(body: object, chunks: T): T {
  if (Object.is(body, chunks)) handOver(body)
  return chunks
}

function handOver<T extends object>(stream: T): T {
  if (handedOver.has(stream)) throw used('was given to a put before')
  if (saysYes(stream, DISTURBED) || saysYes(stream, 'readableDidRead')) throw used('was read before')
  handedOver.add(stream)
  return stream
}

function used(how: string): AtollError {
  return invalid(`the body is a stream that ${how}; to put it again, open it again`)
}

/** Whether the promise is settled by now. */
async function isSettled(promise: Promise<unknown> | undefined): Promise<boolean> {
  let settled = false
  const settle = () => {
    settled = true
  }
  promise?.then(settle, () => {})
  await Promise.resolve()
  return settled
}

function saysYes(stream: object, property: string | symbol): boolean {
  return Reflect.get(stream, property) === true
}

function hasDestroy(body: object): body is { destroy(): void } {
  return 'destroy' in body && typeof body.destroy === 'function'
}

function isAsyncIterable(body: object): body is AsyncIterable<unknown> {
  return Symbol.asyncIterator in body && typeof body[Symbol.asyncIterator] === 'function'
}

export function isIterable(body: object): body is Iterable<unknown> {
  return Symbol.iterator in body && typeof body[Symbol.iterator] === 'function'
}

function isReadableStream(body: object): body is ReadableStreamLike {
  return 'getReader' in body && typeof body.getReader === 'function'
}
