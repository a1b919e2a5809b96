import {
  AtollError,
  decodeWith,
  EMPTY_BYTES,
  encodeWith,
  isAtollErrorCode,
  type TupleCodec,
  type TupleReader,
} from '@atoll/core'

/** The versions of the conversation that this program can hold. The highest that both sides know is used. */
export const TCP_VERSIONS = { min: 1, max: 1 } as const

/**
 * What travels is cut into pieces: a byte for the kind, three for the length, and so many bytes. Frames of a lane, as
 * `encodeFrame` writes them, are one run of bytes that is cut anywhere; pieces of the two lanes alternate as they like.
 * The numbers are the wire: none is ever used again for something else.
 */
export const GREETING = 0
export const ORDINARY = 1
export const URGENT = 2
export const PING = 3
export const PONG = 4
export const GOODBYE = 5

export const HEADER_BYTES = 4
/** The longest piece of a lane that is taken. */
export const MAX_LANE_BYTES = 1024 * 1024
/** The longest piece of any other kind that is taken. */
export const MAX_CONTROL_BYTES = 2048

export function encodeHeader(kind: number, length: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES)
  writeHeader(header, 0, { kind, length })
  return header
}

/** Writes the header of a piece, `HEADER_BYTES` from a place on. */
export function writeHeader(
  target: Uint8Array,
  at: number,
  { kind, length }: { readonly kind: number; readonly length: number },
): void {
  target[at] = kind
  target[at + 1] = length >>> 16
  target[at + 2] = length >>> 8
  target[at + 3] = length
}

/** A piece with all its bytes. */
export function encodePiece(kind: number, payload: Uint8Array): Uint8Array {
  const piece = new Uint8Array(HEADER_BYTES + payload.length)
  piece.set(encodeHeader(kind, payload.length))
  piece.set(payload, HEADER_BYTES)
  return piece
}

/** The first field of every greeting. */
export const HELLO = 0
export const CHALLENGE = 1
export const PROOF = 2
export const WELCOME = 3

/** The caller's first words. */
export interface Hello {
  readonly kind: typeof HELLO
  readonly minVersion: number
  readonly maxVersion: number
  readonly nonce: Uint8Array
}

export interface Challenge {
  readonly kind: typeof CHALLENGE
  readonly version: number
  readonly nonce: Uint8Array
}

/** Who somebody says to be. */
export interface Party {
  readonly cluster: string
  readonly node: string
  /** Drawn when the process made its transport: two processes of one name differ in it. */
  readonly instance: Uint8Array
}

/** A name with a proof that its bearer knows the secret; a proof of no bytes if there is no secret. */
export interface Claim extends Party {
  readonly mac: Uint8Array
}

export interface Proof extends Claim {
  readonly kind: typeof PROOF
}

/** The answer to a caller that is believed. */
export interface Welcome extends Claim {
  readonly kind: typeof WELCOME
}

export type Greeting = Hello | Challenge | Proof | Welcome

const GREETING_CODEC: TupleCodec<Greeting> = {
  name: 'a greeting',
  version: 1,
  encode: (greeting) => {
    switch (greeting.kind) {
      case HELLO:
        return [greeting.kind, greeting.minVersion, greeting.maxVersion, greeting.nonce]
      case CHALLENGE:
        return [greeting.kind, greeting.version, greeting.nonce]
      default: {
        const { kind, cluster, node, instance, mac } = greeting
        return [kind, cluster, node, instance, mac]
      }
    }
  },
  decode: readGreeting,
}

export function encodeGreeting(greeting: Greeting): Uint8Array {
  return encodeWith(GREETING_CODEC, greeting)
}

/** Throws `ATOLL_CORRUPT` or `ATOLL_FORMAT` for bytes that are no greeting. */
export function decodeGreeting(bytes: Uint8Array): Greeting {
  return decodeWith(GREETING_CODEC, bytes)
}

function readGreeting(reader: TupleReader): Greeting {
  const kind = reader.uint()
  switch (kind) {
    case HELLO:
      return { kind, minVersion: reader.uint(), maxVersion: reader.uint(), nonce: reader.bytes() }
    case CHALLENGE:
      return { kind, version: reader.uint(), nonce: reader.bytes() }
    case PROOF:
    case WELCOME: {
      const [cluster, node] = [reader.string(), reader.string()]
      return { kind, cluster, node, instance: reader.bytes(), mac: reader.bytes() }
    }
    default:
      throw new AtollError('ATOLL_CORRUPT', `a greeting cannot be read: kind ${kind} is unknown`)
  }
}

/** Why somebody leaves, unless nothing is wrong. */
const FAREWELL_CODEC: TupleCodec<AtollError> = {
  name: 'a goodbye',
  version: 1,
  encode: ({ code, message }) => [code, message.slice(0, 512)],
  decode: (reader) => {
    const [code, message] = [reader.string(), reader.string()]
    return new AtollError(isAtollErrorCode(code) ? code : 'ATOLL_PROTOCOL', message)
  },
}

export function encodeGoodbye(error: AtollError | undefined): Uint8Array {
  return error === undefined ? EMPTY_BYTES : encodeWith(FAREWELL_CODEC, error)
}

/** Undefined for an ordinary goodbye. Throws `ATOLL_CORRUPT` or `ATOLL_FORMAT` for bytes that are none. */
export function decodeGoodbye(bytes: Uint8Array): AtollError | undefined {
  return bytes.length === 0 ? undefined : decodeWith(FAREWELL_CODEC, bytes)
}
