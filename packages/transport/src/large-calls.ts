import {
  Admission,
  AtollError,
  behindWrite,
  type Clock,
  concatBytes,
  decodeWith,
  EMPTY_BYTES,
  encodeTuple,
  GiB,
  ignoreAbort,
  isAtollError,
  KiB,
  listenToAbort,
  MiB,
  messageOf,
  type TupleReader,
} from '@atoll/core'
import type { ByteStream } from './byte-stream.ts'
import type { RpcEndpoint } from './endpoint.ts'
import type { Message, MessageCodec, Method, StreamMethod } from './method.ts'
import type { RpcCallOptions } from './pending-call.ts'
import type { CallContext, CallHandler } from './server-call.ts'
import { versioned } from './versioned.ts'

/**
 * Messages that are larger than a frame, such as one with a merged record: what two sides of a partition have written
 * stands in it siblings beside siblings. Such a request or answer goes as a byte stream: the method has a second one of
 * its name with `.large` behind it, that takes the same message and gives the same answer. Small ones go as calls. A node
 * of an earlier build serves no streams, and refuses such messages.
 */
const SUFFIX = '.large'

/** What a record may take of the head and as the body of one frame; what is left of it is for the rest of the message. */
export const FRAME_ROOM = { headBytes: 960 * KiB, bodyBytes: 8 * MiB } as const

/** The longest message. */
const MAX_BYTES = GiB
/** Bytes of messages that are being received at a time; one may always come. */
const RECEIVING = { queueWrites: 64, queueBytes: 256 * MiB }
/** Of the length that stands in front of a tuple. */
const LENGTH_BYTES = 4
/** Of the opening, and of the tuple that follows it. */
const TUPLE_VERSION = 1

type Caller = Pick<RpcEndpoint, 'call' | 'openStream'>
type Server = Pick<RpcEndpoint, 'handle' | 'handleStream'>

interface Opening {
  /** Of the message that follows. */
  readonly bytes: number
  readonly timeoutMs: number
}

interface Means {
  readonly endpoint: Caller
  readonly clock: Clock
}

interface AnyCall<Request, Response, Progress> {
  readonly node: string
  readonly method: Method<Request, Response, Progress>
  readonly request: Request
  /** Whether the request does not fit into a frame. */
  readonly isLarge: boolean
}

/**
 * Calls, or where the request is too large for a frame, or the answer turns out to be, asks by a stream: so for methods
 * that may be asked twice. Rejects as `call` does, and with `ATOLL_TOO_LARGE` if the other node serves no streams.
 */
export function callOrStream<Request, Response, Progress>(
  means: Means,
  call: AnyCall<Request, Response, Progress>,
  options: RpcCallOptions<Progress>,
): Promise<Response> {
  const { node, method, request, isLarge } = call
  if (isLarge) return callByStream(means, call, options)
  return means.endpoint.call(node, method, request, options).catch((error: unknown) => {
    if (!isAtollError(error, 'ATOLL_TOO_LARGE') || error.details['streamed'] !== true) throw error
    // What was asked for has been done already; only the answer to that is missing.
    return behindWrite(() => callByStream(means, call, options))
  })
}

async function callByStream<Request, Response, Progress>(
  { endpoint, clock }: Means,
  { node, method, request }: AnyCall<Request, Response, Progress>,
  { timeoutMs, signal }: RpcCallOptions<Progress>,
): Promise<Response> {
  const abort = new AbortController()
  const giveUp = () => abort.abort(signal?.reason)
  const late = new AtollError('ATOLL_TIMEOUT', `${method.name} on ${node} took longer than ${timeoutMs} ms`)
  const timer = clock.timer(timeoutMs, () => abort.abort(late))
  listenToAbort(signal, giveUp)
  try {
    const message = joined(method.request.encode(request))
    const opening = { bytes: message.bytes, timeoutMs }
    const stream = await endpoint.openStream(node, streamOf(method), opening, { signal: abort.signal })
    for (const piece of message.pieces) await stream.write(piece)
    stream.end()
    const answer = await readAll(stream, MAX_BYTES, false)
    return await behindWrite(() => decoded(method.response, answer, method.name))
  } catch (error) {
    if (abort.signal.reason === late) throw late
    // What ended the connection says nothing of this method.
    if (!isAtollError(error, 'ATOLL_PROTOCOL') || error.details['reason'] === 'told') throw error
    const message = `${node} takes no messages larger than a frame`
    throw new AtollError('ATOLL_TOO_LARGE', message, { cause: error, definite: error.definite })
  } finally {
    timer.cancel()
    ignoreAbort(signal, giveUp)
  }
}

/**
 * Serves a method by calls, and by streams for what is too large for them. `isLarge` says of an answer that it does not
 * fit into a frame: then the caller is told to ask by a stream.
 */
export class LargeServer {
  readonly #endpoint: Server
  readonly #admission = new Admission(RECEIVING)

  constructor(endpoint: Server) {
    this.#endpoint = endpoint
  }

  handle<Request, Response, Progress>(
    method: Method<Request, Response, Progress>,
    handler: CallHandler<Request, Response, Progress>,
    isLarge?: (response: Response) => boolean,
  ): void {
    const answering = (request: Request, context: CallContext<Progress>) =>
      handler(request, context).then((response) => {
        if (isLarge?.(response)) throw askByStream()
        return response
      })
    this.#endpoint.handle(method, isLarge === undefined ? handler : answering)
    this.#endpoint.handleStream(streamOf(method), ({ bytes, timeoutMs }, stream, { from, signal }) =>
      this.#admission.run(bytes, async () => {
        const request = decoded(method.request, await readAll(stream, bytes), method.name)
        const context: CallContext<Progress> = {
          from,
          signal,
          remainingMs: timeoutMs,
          progress: () => {},
          hasRoomFor: () => true,
        }
        const response = await handler(request, context)
        await behindWrite(() => sendAnswer(stream, method, response))
      }),
    )
  }
}

function askByStream(): AtollError {
  const message = 'the answer does not fit into a frame: it has to be asked for by a stream'
  return new AtollError('ATOLL_TOO_LARGE', message, { definite: false, details: { streamed: true } })
}

async function sendAnswer<Response>(
  stream: ByteStream,
  { name, response: codec }: Pick<Method<never, Response>, 'name' | 'response'>,
  response: Response,
): Promise<void> {
  for (const piece of joined(answered(name, codec, response)).pieces) await stream.write(piece)
  stream.end()
}

/** What cannot be written as an answer is no fault of the caller, whose argument was good enough for the handler. */
function answered<Response>(name: string, codec: MessageCodec<Response>, response: Response): Message {
  try {
    return codec.encode(response)
  } catch (cause) {
    if (isAtollError(cause)) throw cause
    throw new AtollError('ATOLL_STORAGE', `an answer of ${name} cannot be sent: ${messageOf(cause)}`, {
      cause,
    })
  }
}

function streamOf({ name }: Pick<Method<never, never>, 'name'>): StreamMethod<Opening> {
  return { name: `${name}${SUFFIX}`, request: openingCodec }
}

const openingCodec = versioned<Opening>(TUPLE_VERSION, {
  encode: ({ bytes, timeoutMs }) => ({ tuple: [bytes, Math.ceil(timeoutMs)] }),
  decode: (reader) => {
    const opening = { bytes: reader.uint(), timeoutMs: reader.uint() }
    if (opening.bytes <= MAX_BYTES) return opening
    throw new AtollError(
      'ATOLL_TOO_LARGE',
      `a message of ${opening.bytes} bytes; at most ${MAX_BYTES} are taken`,
    )
  },
})

/** The length of the tuple (4 bytes), the tuple, the body. */
function joined({ tuple, body = EMPTY_BYTES }: Message): {
  readonly bytes: number
  readonly pieces: readonly Uint8Array[]
} {
  const head = encodeTuple(TUPLE_VERSION, tuple)
  const length = new Uint8Array(LENGTH_BYTES)
  new DataView(length.buffer).setUint32(0, head.length)
  return { bytes: LENGTH_BYTES + head.length + body.length, pieces: [length, head, body] }
}

function decoded<T>(codec: MessageCodec<T>, bytes: Uint8Array, name: string): T {
  if (bytes.length < LENGTH_BYTES) throw broken(name, `it has ${bytes.length} bytes`)
  const end = LENGTH_BYTES + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  if (end > bytes.length) throw broken(name, `its tuple would end at ${end} of ${bytes.length} bytes`)
  const body = bytes.subarray(end)
  const tuple = bytes.subarray(LENGTH_BYTES, end)
  const read = (reader: TupleReader) => codec.decode(reader, body)
  return decodeWith({ name, version: TUPLE_VERSION, encode: () => [], decode: read }, tuple)
}

/** Throws `ATOLL_CORRUPT` for more than was announced; `definite` says whether nothing has been done by then. */
async function readAll(stream: ByteStream, maxBytes: number, definite = true): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of stream) {
    bytes += piece.length
    if (bytes > maxBytes) throw broken('a stream', `it has more than ${maxBytes} bytes`, definite)
    pieces.push(piece)
  }
  return concatBytes(pieces)
}

function broken(what: string, why: string, definite = true): AtollError {
  return new AtollError('ATOLL_CORRUPT', `${what} cannot be read: ${why}`, { definite })
}
