import {
  AtollError,
  assert,
  concatBytes,
  EMPTY_BYTES,
  isBytes,
  KiB,
  keepBuffer,
  TupleReader,
  type TupleValue,
} from '@atoll/core'
import { decodeError, errorFields } from './error-codec.ts'
import type { Message, MessageCodec, Method } from './method.ts'
import { versioned } from './versioned.ts'

const VERSION = 1
/** Requests of one message. */
export const MAX_BATCHED = 64
/** Bytes of one request that goes with others. */
export const MAX_BATCHED_BYTES = 16 * KiB
/** Bytes of all of a message; a single answer may exceed it. */
export const MAX_BATCH_BYTES = 256 * KiB

/** Fields of a message: as they are to be written, or as they have arrived. */
type Fields = readonly TupleValue[] | TupleReader

/** One request of several that go together. */
export interface BatchedRequest {
  readonly method: string
  readonly fields: Fields
  readonly body: Uint8Array
}

/** The answer to one of them, or why it failed. */
export type BatchedAnswer = { readonly at: number } & (
  | { readonly fields: Fields; readonly body: Uint8Array }
  | { readonly error: AtollError }
)

/** Requests for one node in one message; their answers come in as many messages as they need. */
export type BatchMethod = Method<
  readonly BatchedRequest[],
  readonly BatchedAnswer[],
  readonly BatchedAnswer[]
>

export function batchMethod(name: string): BatchMethod {
  return { name, request: requestsCodec, response: answersCodec, progress: answersCodec }
}

/** Bodies lie end to end in the one body; each request says how long its own is. */
const requestsCodec = versioned<readonly BatchedRequest[]>(VERSION, {
  encode: (requests) => ({
    tuple: [requests.map(({ method, fields, body }) => [method, written(fields), body.length])],
    body: joined(requests),
  }),
  decode: (reader, body) => {
    const bodies = new Bodies(body)
    const requests = reader.list((item) => {
      const entry = item.tuple()
      const request = { method: entry.string(), fields: entry.tuple(), body: bodies.next(entry.uint()) }
      entry.end()
      return request
    }, MAX_BATCHED)
    bodies.end()
    return requests
  },
})

/** The place of the request; its fields and the length of its body, or nothing and the fields of the error. */
const answersCodec: MessageCodec<readonly BatchedAnswer[]> = versioned(VERSION, {
  encode: (answers) => ({
    tuple: [
      answers.map((answer) =>
        'error' in answer
          ? [answer.at, null, ...errorFields(answer.error)]
          : [answer.at, written(answer.fields), answer.body.length],
      ),
    ],
    body: joined(answers.flatMap((answer) => ('error' in answer ? [] : answer))),
  }),
  decode: (reader, body) => {
    const bodies = new Bodies(body)
    const answers = reader.list((item): BatchedAnswer => {
      const entry = item.tuple()
      const at = entry.uint()
      const fields = entry.optional((field) => field.tuple())
      const answer =
        fields === undefined
          ? { at, error: decodeError(entry) }
          : { at, fields, body: bodies.next(entry.uint()) }
      entry.end()
      return answer
    }, MAX_BATCHED)
    bodies.end()
    return answers
  },
})

/** About so many bytes has a message. */
export function messageBytes({ tuple, body = EMPTY_BYTES }: Message): number {
  return tuple.reduce<number>((sum, field) => sum + fieldBytes(field), body.length)
}

function fieldBytes(field: TupleValue): number {
  if (isBytes(field) || typeof field === 'string') return field.length
  if (!Array.isArray(field)) return 1
  let bytes = 1
  for (const part of field) bytes += fieldBytes(part)
  return bytes
}

function written(fields: Fields): readonly TupleValue[] {
  assert(!(fields instanceof TupleReader), 'what has arrived is not sent again')
  return fields
}

function joined(parts: readonly { readonly body: Uint8Array }[]): Uint8Array | undefined {
  const bodies = parts.flatMap(({ body }) => (body.length === 0 ? [] : body))
  return bodies.length > 1 ? concatBytes(bodies) : bodies[0]
}

/** Cuts a body into those that lie in it, of which nobody returns the memory that all of them share. */
class Bodies {
  readonly #all: Uint8Array
  #at = 0

  constructor(all: Uint8Array) {
    this.#all = all
  }

  next(length: number): Uint8Array {
    if (length < this.#all.length) keepBuffer(this.#all)
    const body = this.#all.subarray(this.#at, this.#at + length)
    this.#at += length
    return body
  }

  end(): void {
    if (this.#at === this.#all.length) return
    const message = `a message cannot be read: its bodies have ${this.#at} of ${this.#all.length} bytes`
    throw new AtollError('ATOLL_CORRUPT', message)
  }
}
