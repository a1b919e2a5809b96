import type { TupleReader, TupleValue } from '@atoll/core'

/** How a value travels: a small tuple in the head of the frame, and perhaps one raw body. */
export interface MessageCodec<T> {
  encode(value: T): Message
  /** Reads every field, believing none; throws `ATOLL_CORRUPT` on a mismatch. */
  decode(reader: TupleReader, body: Uint8Array): T
}

export interface Message {
  readonly tuple: readonly TupleValue[]
  readonly body?: Uint8Array | undefined
}

/** One remote procedure. Both sides share the definition. */
export interface Method<Request, Response, Progress = never> {
  /** Unique in a node, such as "vnode.get". */
  readonly name: string
  readonly request: MessageCodec<Request>
  readonly response: MessageCodec<Response>
  /** What the server may tell before it answers. */
  readonly progress?: MessageCodec<Progress>
  /**
   * For heartbeats: small messages that go before everything that waits for the same connection, both ways, and that ask
   * for a connection even in the pause after one failed.
   */
  readonly urgent?: boolean
  /** A node that is of no cluster yet may ask it, too. */
  readonly openToStrangers?: boolean
}

/** What is asked when a byte stream is opened. Both sides share the definition. */
export interface StreamMethod<Request> {
  /** Unique in a node among the streams, such as "vnode.handoff". */
  readonly name: string
  readonly request: MessageCodec<Request>
}
