import {
  AtollError,
  type AtollErrorCode,
  type AtollErrorOptions,
  ignoreAbort,
  listenToAbort,
  type TupleReader,
  withDefinite,
} from '@atoll/core'
import type { Expiring } from './deadlines.ts'
import type { Message, Method } from './method.ts'

export interface RpcCallOptions<Progress = never> {
  /** How long to wait for the answer, in milliseconds; the handler's time ends with it. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** What the handler tells before it answers, in order. */
  readonly onProgress?: ((value: Progress) => void) | undefined
}

/** What a call needs of the link that carries it. */
export interface CallCarrier {
  /** The call is over; without an answer if `cancelled`. */
  forget(call: OutgoingCall, cancelled: boolean): void
}

/** A call as the link sees it: its types are nobody else's business. */
export interface OutgoingCall extends Expiring {
  readonly method: string
  readonly urgent: boolean
  readonly deadlineMs: number
  /** 0 until it is sent. */
  id: number
  readonly done: boolean
  encode(): Message
  answer(reader: TupleReader, body: Uint8Array): void
  progress(sequence: number, reader: TupleReader, body: Uint8Array): void
  /** Ends it with what the peer said, or with what stopped it before it was sent. */
  fail(error: unknown): void
  /** Ends it because the connection is gone. */
  lose(cause: AtollError): void
}

interface PendingCallParts<Request, Response, Progress> {
  readonly node: string
  readonly method: Method<Request, Response, Progress>
  readonly request: Request
  readonly options: RpcCallOptions<Progress>
  readonly deadlineMs: number
  readonly carrier: CallCarrier
  readonly resolve: (response: Response) => void
  readonly reject: (error: unknown) => void
}

/** One call from its start to its one end. */
export class PendingCall<Request, Response, Progress> implements OutgoingCall {
  id = 0
  bucket: Set<Expiring> | undefined
  readonly #parts: PendingCallParts<Request, Response, Progress>
  readonly #onAbort: (() => void) | undefined
  #done = false
  #lastProgress = 0

  constructor(parts: PendingCallParts<Request, Response, Progress>) {
    this.#parts = parts
    const { signal } = parts.options
    if (signal === undefined) return
    this.#onAbort = () => this.#abort(signal.reason)
    listenToAbort(signal, this.#onAbort)
  }

  get method(): string {
    return this.#parts.method.name
  }

  get urgent(): boolean {
    return this.#parts.method.urgent === true
  }

  get deadlineMs(): number {
    return this.#parts.deadlineMs
  }

  get done(): boolean {
    return this.#done
  }

  encode(): Message {
    return this.#parts.method.request.encode(this.#parts.request)
  }

  answer(reader: TupleReader, body: Uint8Array): void {
    if (!this.#end(false)) return
    try {
      const response = this.#parts.method.response.decode(reader, body)
      reader.end()
      this.#parts.resolve(response)
    } catch (error) {
      this.#parts.reject(this.#error('ATOLL_CORRUPT', 'answered what cannot be read', error))
    }
  }

  progress(sequence: number, reader: TupleReader, body: Uint8Array): void {
    const { method, options } = this.#parts
    if (this.#done || sequence <= this.#lastProgress || method.progress === undefined) return
    this.#lastProgress = sequence
    let told: Progress
    try {
      told = method.progress.decode(reader, body)
    } catch (error) {
      this.#giveUp(this.#error('ATOLL_CORRUPT', 'told what cannot be read', error))
      return
    }
    try {
      options.onProgress?.(told)
    } catch (error) {
      this.#giveUp(error)
    }
  }

  fail(error: unknown): void {
    if (this.#end(false)) this.#parts.reject(error)
  }

  lose(cause: AtollError): void {
    const code = cause.code === 'ATOLL_CLOSED' ? cause.code : 'ATOLL_UNREACHABLE'
    if (this.id === 0) this.fail(withDefinite(cause, true))
    else this.fail(this.#error(code, `was lost before it answered: ${cause.message}`, cause))
  }

  expire(): void {
    const { node, options } = this.#parts
    const within = `within ${options.timeoutMs} ms`
    if (this.id > 0) this.fail(this.#error('ATOLL_TIMEOUT', `did not answer ${within}`))
    else this.fail(new AtollError('ATOLL_UNREACHABLE', `${node} could not be reached ${within}`))
  }

  #abort(reason: unknown): void {
    this.#giveUp(this.#error('ATOLL_ABORTED', 'was given up by the caller', reason))
  }

  #giveUp(error: unknown): void {
    if (this.#end(true)) this.#parts.reject(error)
  }

  /** `definite` only if nothing was sent. */
  #error(code: AtollErrorCode, what: string, cause?: unknown): AtollError {
    const { node, method } = this.#parts
    const options: AtollErrorOptions = { definite: this.id === 0, cause, details: { node } }
    return new AtollError(code, `${method.name} on ${node} ${what}`, options)
  }

  #end(cancelled: boolean): boolean {
    if (this.#done) return false
    this.#done = true
    if (this.#onAbort !== undefined) ignoreAbort(this.#parts.options.signal, this.#onAbort)
    this.#parts.carrier.forget(this, cancelled)
    return true
  }
}
