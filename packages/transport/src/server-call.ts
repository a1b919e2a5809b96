import {
  AtollError,
  assert,
  isAtollError,
  LazySignal,
  messageOf,
  type Runtime,
  type TupleReader,
  withDefinite,
} from '@atoll/core'
import type { Expiring } from './deadlines.ts'
import { asAtollError, isForeseen } from './error-codec.ts'
import { isUrgent } from './lanes.ts'
import type { Message, MessageCodec, Method } from './method.ts'
import { encodeFailure, encodeProgress, encodeResponse, FAILURE } from './protocol.ts'
import type { Wire } from './wire.ts'

/** What a handler knows of a call besides its request. */
export interface CallContext<Progress = never> {
  /** The node that calls. */
  readonly from: string
  /** Aborted when the caller gave up, its time is over, or its connection is gone. */
  readonly signal: AbortSignal
  /** What is left of the caller's time, in milliseconds. */
  readonly remainingMs: number
  /** Tells the caller something before the answer. It may get lost, as any message may. */
  progress(value: Progress): void
}

export type CallHandler<Request, Response, Progress = never> = (
  request: Request,
  context: CallContext<Progress>,
) => Promise<Response>

/** A handler and its method, with their types put away. */
export type ServeCall = (call: ServerCall, message: TupleReader, body: Uint8Array) => void

export interface ServerCallParts {
  readonly runtime: Runtime
  readonly wire: Wire
  readonly id: number
  readonly from: string
  readonly method: string
  readonly deadlineMs: number
  /** The handler has ended. */
  readonly onDone: (call: ServerCall) => void
}

/** A call that a handler works on. */
export class ServerCall implements Expiring {
  bucket: Set<Expiring> | undefined
  readonly #parts: ServerCallParts
  readonly #abort = new LazySignal()
  #sequence = 0

  constructor(parts: ServerCallParts) {
    this.#parts = parts
  }

  get id(): number {
    return this.#parts.id
  }

  get from(): string {
    return this.#parts.from
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get remainingMs(): number {
    return Math.max(0, this.#parts.deadlineMs - this.#parts.runtime.clock.monotonicMs())
  }

  tell(message: Message): void {
    if (this.#abort.aborted) return
    this.#sequence += 1
    this.#send(encodeProgress(this.id, this.#sequence, message.tuple), message.body)
  }

  answer(message: Message): void {
    if (!this.#abort.aborted) this.#send(encodeResponse(this.id, message.tuple), message.body)
    this.#parts.onDone(this)
  }

  refuse(error: unknown): void {
    const { runtime, method, from } = this.#parts
    if (!this.#abort.aborted) {
      if (!isForeseen(error)) runtime.log.error({ err: error, method, from }, 'a handler failed unexpectedly')
      this.#send(encodeFailure(FAILURE, this.id, asAtollError(error, method)))
    }
    this.#parts.onDone(this)
  }

  /** Nobody waits for the answer any more. */
  cancel(reason: AtollError): void {
    this.#abort.abort(reason)
  }

  expire(): void {
    this.cancel(new AtollError('ATOLL_TIMEOUT', `the time of ${this.#parts.method} is over`))
  }

  #send(head: Uint8Array, body?: Uint8Array): void {
    this.#parts.wire.send(head, body, isUrgent(this.id))
  }
}

export function serveCall<Request, Response, Progress>(
  method: Method<Request, Response, Progress>,
  handler: CallHandler<Request, Response, Progress>,
): ServeCall {
  return (call, message, body) => {
    let work: Promise<Response>
    try {
      const request = readRequest(method, message, body)
      work = handler(request, new Context(call, method.name, method.progress))
    } catch (error) {
      return call.refuse(error)
    }
    work.then(
      (response) => answer(call, method.response, response),
      (error) => call.refuse(error),
    )
  }
}

/**
 * What a peer asks for. Throws `ATOLL_PROTOCOL` for what cannot be read: it is the peer's fault, while any other code would
 * say that something is wrong with what is stored here.
 */
export function readRequest<Request>(
  { name, request }: { readonly name: string; readonly request: MessageCodec<Request> },
  message: TupleReader,
  body: Uint8Array,
): Request {
  try {
    const read = request.decode(message, body)
    message.end()
    return read
  } catch (cause) {
    throw new AtollError('ATOLL_PROTOCOL', `a request for ${name} cannot be read: ${messageOf(cause)}`, {
      cause,
    })
  }
}

/** A handler has done its work by now, so an answer that cannot be sent leaves the caller with an unknown outcome. */
function answer<Response>(call: ServerCall, codec: MessageCodec<Response>, response: Response): void {
  try {
    call.answer(codec.encode(response))
  } catch (error) {
    // Not the caller's argument, whatever it is: that was good enough for the handler.
    const unsent = () => new Error(`an answer cannot be sent: ${messageOf(error)}`, { cause: error })
    call.refuse(isAtollError(error) ? withDefinite(error, false) : unsent())
  }
}

class Context<Progress> implements CallContext<Progress> {
  readonly #call: ServerCall
  readonly #method: string
  readonly #codec: MessageCodec<Progress> | undefined

  constructor(call: ServerCall, method: string, codec: MessageCodec<Progress> | undefined) {
    this.#call = call
    this.#method = method
    this.#codec = codec
  }

  get from(): string {
    return this.#call.from
  }

  get signal(): AbortSignal {
    return this.#call.signal
  }

  get remainingMs(): number {
    return this.#call.remainingMs
  }

  progress(value: Progress): void {
    assert(this.#codec !== undefined, `${this.#method} tells no progress`)
    this.#call.tell(this.#codec.encode(value))
  }
}
