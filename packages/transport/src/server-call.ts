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
import { encodeFailure, encodeProgress, encodeResponse, FAILURE, type Request } from './protocol.ts'
import type { Wire } from './wire.ts'

/** What a handler knows of a call besides its request. */
export interface CallContext<Progress = never> {
  /** The node that calls. */
  readonly from: string
  /** Aborted when the caller gave up, its time is over, or its connection is gone. */
  readonly signal: AbortSignal
  /** What is left of the caller's time, in milliseconds. */
  readonly remainingMs: number
  /** True if nobody but the handler has the body of the request, which it may give back then (`returnBuffer`). */
  readonly ownsBody?: boolean
  /** Tells the caller something before the answer. It may get lost, as any message may. */
  progress(value: Progress): void
  /** Whether so many bytes may wait beside what waits for the caller already. It is asked before they are told. */
  hasRoomFor(bytes: number): boolean
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
  readonly from: string
  readonly deadlineMs: number
  readonly owner: ServerCallOwner
}

export interface ServerCallOwner {
  /** Called once: the handler has ended, or will not be called. */
  onDone(call: ServerCall): void
}

/** What a peer asks for, and who serves it. */
export interface Asked {
  readonly serve: ServeCall
  readonly request: Request
  readonly body: Uint8Array
  /** Of head and body. */
  readonly bytes: number
}

/** A call from its arrival to the end of its handler. */
export class ServerCall implements Expiring {
  bucket: Set<Expiring> | undefined
  readonly id: number
  readonly method: string
  /** What it keeps until its handler is called. */
  readonly bytes: number
  /** Set by its owner: it has one of the slots of handlers. */
  hasSlot = false
  readonly #parts: ServerCallParts
  readonly #abort = new LazySignal()
  /** Gone once the handler was called, which may let go of the body. */
  #asked: Asked | undefined
  #sequence = 0
  #over = false

  constructor(asked: Asked, parts: ServerCallParts) {
    this.id = asked.request.id
    this.method = asked.request.method
    this.bytes = asked.bytes
    this.#asked = asked
    this.#parts = parts
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

  get ownsBody(): boolean {
    return this.#parts.wire.ownsBodies
  }

  /** True once its handler has ended or will not be called. */
  get over(): boolean {
    return this.#over
  }

  /** Calls the handler. */
  begin(): void {
    const asked = this.#asked
    assert(asked !== undefined && !this.#over, 'a call begins once, and not after its end')
    this.#asked = undefined
    asked.serve(this, asked.request.message, asked.body)
  }

  tell(message: Message): void {
    if (this.#abort.aborted) return
    this.#sequence += 1
    this.#send(encodeProgress(this.id, this.#sequence, message.tuple), message.body)
  }

  hasRoomFor(bytes: number): boolean {
    const { wire, runtime } = this.#parts
    if (isUrgent(this.id) || wire.fits(bytes)) return true
    runtime.metrics.count('atoll_rpc_overloaded_total', 1, { what: 'answer' })
    return false
  }

  /** Throws `ATOLL_OVERLOADED` if it may not wait beside what waits for the peer already, and then sends nothing. */
  answer(message: Message): void {
    if (!this.#abort.aborted) {
      const head = encodeResponse(this.id, message.tuple)
      this.#assertFits(head, message.body)
      this.#send(head, message.body)
    }
    this.#end()
  }

  refuse(error: unknown): void {
    const { runtime, from } = this.#parts
    if (!this.#abort.aborted) {
      const { method } = this
      if (!isForeseen(error)) runtime.log.error({ err: error, method, from }, 'a handler failed unexpectedly')
      this.#send(encodeFailure(FAILURE, this.id, asAtollError(error, method)))
    }
    this.#end()
  }

  /** Nobody waits for the answer any more. A handler that was not called yet never is. */
  cancel(reason: AtollError): void {
    this.#abort.abort(reason)
    if (this.#asked !== undefined) this.#end()
  }

  expire(): void {
    this.cancel(new AtollError('ATOLL_TIMEOUT', `the time of ${this.method} is over`))
  }

  #assertFits(head: Uint8Array, body: Uint8Array | undefined): void {
    const bytes = head.length + (body?.length ?? 0)
    if (!this.hasRoomFor(bytes)) throw noRoom(bytes, this.from)
  }

  #send(head: Uint8Array, body?: Uint8Array): void {
    this.#parts.wire.send(head, body, isUrgent(this.id))
  }

  #end(): void {
    this.#over = true
    this.#asked = undefined
    this.#parts.owner.onDone(this)
  }
}

/** Why an answer is not sent. Whoever asked does not know what became of it. */
export function noRoom(bytes: number, from: string): AtollError {
  const message = `an answer of ${bytes} bytes is not sent: too much waits already for ${from} to read it`
  return new AtollError('ATOLL_OVERLOADED', message)
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

  get ownsBody(): boolean {
    return this.#call.ownsBody
  }

  progress(value: Progress): void {
    assert(this.#codec !== undefined, `${this.#method} tells no progress`)
    this.#call.tell(this.#codec.encode(value))
  }

  hasRoomFor(bytes: number): boolean {
    return this.#call.hasRoomFor(bytes)
  }
}
