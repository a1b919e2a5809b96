import {
  AtollError,
  decodeWith,
  encodeTuple,
  MAX_DELAY_MS,
  type TupleCodec,
  type TupleReader,
  type TupleValue,
} from '@atoll/core'
import { decodeCapabilities, encodeCapabilities } from './capabilities.ts'
import { decodeError, errorFields } from './error-codec.ts'

/** The versions of the conversation that this program can hold. The highest that both sides know is used. */
export const PROTOCOL_VERSIONS = { min: 1, max: 1 } as const

/** The version byte of every head. */
const HEAD_VERSION = 1

/** The first field of every head. The numbers are the wire: none is ever used again for something else. */
export const HELLO = 0
export const WELCOME = 1
export const REFUSE = 2
export const REQUEST = 3
export const RESPONSE = 4
export const FAILURE = 5
export const CANCEL = 6
export const PROGRESS = 7
export const OPEN = 8
export const CHUNK = 9
export const STATE = 10
export const ABORT = 11

/** The caller's first words. */
export interface Hello {
  readonly kind: typeof HELLO
  readonly minVersion: number
  readonly maxVersion: number
  readonly node: string
  readonly clusterName: string
  readonly capabilities: readonly string[]
}

/** What the other side says to a caller that it talks to. */
export interface Welcome {
  readonly kind: typeof WELCOME
  readonly version: number
  readonly node: string
  readonly clusterName: string
  /** What the caller may send on a stream before the reader grants more, in bytes. */
  readonly windowBytes: number
  readonly capabilities: readonly string[]
}

/** What the other side says to a caller that it does not talk to, before it closes. */
export interface Refuse {
  readonly kind: typeof REFUSE
  readonly error: AtollError
}

export interface Request {
  readonly kind: typeof REQUEST
  /** Grows with every request and stream of a connection. */
  readonly id: number
  readonly method: string
  /** What is left of the caller's time, in milliseconds: clocks of two machines do not agree, durations do. */
  readonly remainingMs: number
  readonly message: TupleReader
}

export interface Response {
  readonly kind: typeof RESPONSE
  readonly id: number
  readonly message: TupleReader
}

export interface Failure {
  readonly kind: typeof FAILURE | typeof ABORT
  readonly id: number
  readonly error: AtollError
}

export interface Cancel {
  readonly kind: typeof CANCEL
  readonly id: number
}

export interface Progress {
  readonly kind: typeof PROGRESS
  readonly id: number
  /** Counts from 1, so that a repeated frame is told once. */
  readonly sequence: number
  readonly message: TupleReader
}

export interface Open {
  readonly kind: typeof OPEN
  readonly id: number
  readonly method: string
  /** What may be sent to the opener before it grants more, in bytes. */
  readonly windowBytes: number
  readonly idleTimeoutMs: number
  readonly message: TupleReader
}

export interface Chunk {
  readonly kind: typeof CHUNK
  readonly id: number
  /** Bytes of the stream before this chunk. */
  readonly offset: number
}

/** All that one side of a stream has to say beside its bytes. It may be lost or repeated: the next one says it again. */
export interface State {
  readonly kind: typeof STATE
  readonly id: number
  /** How much the receiver of this may send in all, in units of credit. */
  readonly limit: number
  /** How many bytes the sender of this has sent in all. */
  readonly offset: number
  /** The sender of this sends no more bytes. */
  readonly ended: boolean
  /** The sender of this reads no more bytes. */
  readonly deaf: boolean
}

export type Head =
  | Hello
  | Welcome
  | Refuse
  | Request
  | Response
  | Failure
  | Cancel
  | Progress
  | Open
  | Chunk
  | State

type Fields<T> = Omit<T, 'kind'>
type Carrying<T> = Omit<T, 'kind' | 'message'>
type Tuple = readonly TupleValue[]

export function encodeHello(hello: Fields<Hello>): Uint8Array {
  const { minVersion, maxVersion, node, clusterName, capabilities } = hello
  const fields = [HELLO, minVersion, maxVersion, node, clusterName]
  return encodeTuple(HEAD_VERSION, [...fields, ...encodeCapabilities(capabilities)])
}

export function encodeWelcome(welcome: Fields<Welcome>): Uint8Array {
  const { version, node, clusterName, windowBytes, capabilities } = welcome
  const fields = [WELCOME, version, node, clusterName, windowBytes]
  return encodeTuple(HEAD_VERSION, [...fields, ...encodeCapabilities(capabilities)])
}

export function encodeRefuse(error: AtollError): Uint8Array {
  return encodeTuple(HEAD_VERSION, [REFUSE, ...errorFields(error)])
}

export function encodeRequest(request: Carrying<Request>, message: Tuple): Uint8Array {
  return encodeTuple(HEAD_VERSION, [REQUEST, request.id, request.method, request.remainingMs, message])
}

export function encodeResponse(id: number, message: Tuple): Uint8Array {
  return encodeTuple(HEAD_VERSION, [RESPONSE, id, message])
}

export function encodeFailure(
  kind: typeof FAILURE | typeof ABORT,
  id: number,
  error: AtollError,
): Uint8Array {
  return encodeTuple(HEAD_VERSION, [kind, id, ...errorFields(error)])
}

export function encodeCancel(id: number): Uint8Array {
  return encodeTuple(HEAD_VERSION, [CANCEL, id])
}

export function encodeProgress(id: number, sequence: number, message: Tuple): Uint8Array {
  return encodeTuple(HEAD_VERSION, [PROGRESS, id, sequence, message])
}

export function encodeOpen(open: Carrying<Open>, message: Tuple): Uint8Array {
  const { id, method, windowBytes, idleTimeoutMs } = open
  return encodeTuple(HEAD_VERSION, [OPEN, id, method, windowBytes, idleTimeoutMs, message])
}

export function encodeChunk(id: number, offset: number): Uint8Array {
  return encodeTuple(HEAD_VERSION, [CHUNK, id, offset])
}

export function encodeState(state: Fields<State>): Uint8Array {
  const { id, limit, offset, ended, deaf } = state
  return encodeTuple(HEAD_VERSION, [STATE, id, limit, offset, ended, deaf])
}

/** Throws `ATOLL_CORRUPT` or `ATOLL_FORMAT` for a head that is none of these. */
export function decodeHead(bytes: Uint8Array): Head {
  return decodeWith(HEAD_CODEC, bytes)
}

const HEAD_CODEC: TupleCodec<Head> = {
  name: 'a message head',
  version: HEAD_VERSION,
  // Heads are written by the functions above, each from its own fields; one that was read is never written again.
  encode: (head) => {
    throw new Error(`a head of kind ${head.kind} was read, not made`)
  },
  decode: readHead,
}

function readHead(reader: TupleReader): Head {
  const kind = reader.uint()
  switch (kind) {
    case REQUEST:
      return {
        kind,
        id: reader.uint(),
        method: reader.string(),
        remainingMs: readDelay(reader),
        message: reader.tuple(),
      }
    case RESPONSE:
      return { kind, id: reader.uint(), message: reader.tuple() }
    case FAILURE:
    case ABORT:
      return { kind, id: reader.uint(), error: decodeError(reader) }
    case CANCEL:
      return { kind, id: reader.uint() }
    case PROGRESS:
      return { kind, id: reader.uint(), sequence: reader.uint(), message: reader.tuple() }
    case CHUNK:
      return { kind, id: reader.uint(), offset: reader.uint() }
    case REFUSE:
      return { kind, error: decodeError(reader) }
    default:
      return readRareHead(kind, reader)
  }
}

/** What a timer is made of: a longer one would be none. */
function readDelay(reader: TupleReader): number {
  const delayMs = reader.uint()
  if (delayMs <= MAX_DELAY_MS) return delayMs
  throw new AtollError(
    'ATOLL_CORRUPT',
    `a message head cannot be read: ${delayMs} ms is over ${MAX_DELAY_MS}`,
  )
}

function readRareHead(kind: number, reader: TupleReader): Hello | Welcome | Open | State {
  switch (kind) {
    case HELLO: {
      const [minVersion, maxVersion] = [reader.uint(), reader.uint()]
      const [node, clusterName] = [reader.string(), reader.string()]
      return { kind, minVersion, maxVersion, node, clusterName, capabilities: decodeCapabilities(reader) }
    }
    case WELCOME: {
      const [version, node, clusterName] = [reader.uint(), reader.string(), reader.string()]
      const windowBytes = reader.uint()
      return { kind, version, node, clusterName, windowBytes, capabilities: decodeCapabilities(reader) }
    }
    case OPEN: {
      const [id, method, windowBytes] = [reader.uint(), reader.string(), reader.uint()]
      return { kind, id, method, windowBytes, idleTimeoutMs: readDelay(reader), message: reader.tuple() }
    }
    case STATE: {
      const [id, limit, offset] = [reader.uint(), reader.uint(), reader.uint()]
      return { kind, id, limit, offset, ended: reader.boolean(), deaf: reader.boolean() }
    }
    default:
      throw new AtollError('ATOLL_CORRUPT', `a message head cannot be read: kind ${kind} is unknown`)
  }
}
