import type { AtollError, LazySignal, Runtime, TupleReader } from '@atoll/core'
import type { ByteStream, DuplexStream } from './byte-stream.ts'
import { asAtollError, isForeseen } from './error-codec.ts'
import type { StreamMethod } from './method.ts'
import { readRequest } from './server-call.ts'

/** What a stream's handler knows besides its request. */
export interface StreamContext {
  /** The node that opened the stream. */
  readonly from: string
  /** Aborted when the stream fails. */
  readonly signal: AbortSignal
}

/** The stream ends well when the handler returns, and with the error that it throws. */
export type StreamHandler<Request> = (
  request: Request,
  stream: ByteStream,
  context: StreamContext,
) => Promise<void>

export interface ServedStream {
  readonly runtime: Runtime
  readonly from: string
  readonly stream: DuplexStream
  readonly failed: LazySignal
  /** The handler has ended. */
  readonly onDone: () => void
}

/** A handler and its method, with their types put away. */
export type ServeStream = (served: ServedStream, message: TupleReader, body: Uint8Array) => void

export function serveStream<Request>(
  method: StreamMethod<Request>,
  handler: StreamHandler<Request>,
): ServeStream {
  return (served, message, body) => {
    const { stream, onDone } = served
    let work: Promise<void>
    try {
      const request = readRequest(method, message, body)
      work = handler(request, stream, new Context(served))
    } catch (error) {
      work = Promise.reject(error)
    }
    work
      .then(
        () => stream.finish(),
        (error) => stream.abort(problem(served, method.name, error)),
      )
      .finally(onDone)
  }
}

/** What the opener is told. A handler that throws because the stream failed tells nothing new. */
function problem(served: ServedStream, method: string, error: unknown): AtollError {
  const { runtime, from, failed } = served
  if (!isForeseen(error) && !failed.aborted) {
    runtime.log.error({ err: error, method, from }, 'a stream handler failed unexpectedly')
  }
  return asAtollError(error, method)
}

class Context implements StreamContext {
  readonly #served: ServedStream

  constructor(served: ServedStream) {
    this.#served = served
  }

  get from(): string {
    return this.#served.from
  }

  get signal(): AbortSignal {
    return this.#served.failed.signal
  }
}
