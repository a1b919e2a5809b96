import {
  AtollError,
  EMPTY_BYTES,
  isAtollError,
  messageOf,
  type Runtime,
  TupleReader,
  withDefinite,
} from '@atoll/core'
import {
  type BatchedAnswer,
  type BatchedRequest,
  type BatchMethod,
  MAX_BATCH_BYTES,
  messageBytes,
} from './batch-messages.ts'
import type { RpcEndpoint } from './endpoint.ts'
import { asAtollError, isForeseen } from './error-codec.ts'
import type { Message, Method } from './method.ts'
import { type CallContext, type CallHandler, noRoom, readRequest } from './server-call.ts'
import { turnEnds } from './turn.ts'

/** Handlers of batched requests that run at one time, as those of other requests have a limit. */
const MAX_RUNNING = 8192

type Caller = CallContext<readonly BatchedAnswer[]>
type Serve = (request: BatchedRequest, caller: Caller) => Promise<Message>

/** Serves methods by single calls, and by batches of them. */
export class BatchServer {
  readonly #endpoint: Pick<RpcEndpoint, 'handle'>
  readonly #runtime: Runtime
  readonly #methods = new Map<string, Serve>()
  #running = 0

  constructor(endpoint: Pick<RpcEndpoint, 'handle'>, method: BatchMethod, runtime: Runtime) {
    this.#endpoint = endpoint
    this.#runtime = runtime
    endpoint.handle(method, (requests, caller) => this.#serve(requests, caller))
  }

  handle<Request, Response, Progress = never>(
    method: Method<Request, Response, Progress>,
    handler: CallHandler<Request, Response, Progress>,
  ): void {
    this.#endpoint.handle(method, handler)
    this.#methods.set(method.name, ({ fields, body }, caller) => {
      const request = readRequest(method, readerOf(fields), body)
      return handler(request, new BatchedContext(caller)).then((response) => answered(method, response))
    })
  }

  /** Those that are done by then are told as soon as others take longer; the last ones are the answer. */
  #serve(requests: readonly BatchedRequest[], caller: Caller): Promise<readonly BatchedAnswer[]> {
    return new Promise((resolve, reject) => {
      const answers = new Answers(requests.length, { caller, end: resolve })
      for (const [at, request] of requests.entries()) {
        this.#outcome(request, caller).then((outcome) => {
          if (outcome instanceof AtollError) answers.add({ at, error: outcome }, 0)
          else {
            const { tuple: fields, body = EMPTY_BYTES } = outcome
            answers.add({ at, fields, body }, messageBytes(outcome))
          }
        }, reject)
      }
    })
  }

  async #outcome(request: BatchedRequest, caller: Caller): Promise<Message | AtollError> {
    const { method } = request
    const serve = this.#methods.get(method)
    if (serve === undefined) return new AtollError('ATOLL_PROTOCOL', `${method} is not served in batches`)
    if (this.#running >= MAX_RUNNING)
      return new AtollError('ATOLL_OVERLOADED', `${MAX_RUNNING} handlers of batched requests run`)
    this.#running += 1
    try {
      return await serve(request, caller)
    } catch (error) {
      const { from } = caller
      if (!isForeseen(error))
        this.#runtime.log.error({ err: error, method, from }, 'a handler failed unexpectedly')
      return asAtollError(error, method)
    } finally {
      this.#running -= 1
    }
  }
}

interface Told {
  /** Is told some answers while others are still to come. */
  readonly caller: Caller
  readonly end: (answers: readonly BatchedAnswer[]) => void
}

/** The answers of a batch on their way back, as they come and not too many bytes at a time. */
class Answers {
  readonly #told: Told
  #left: number
  #ready: BatchedAnswer[] = []
  #bytes = 0
  #isScheduled = false

  constructor(count: number, told: Told) {
    this.#told = told
    this.#left = count
    if (count === 0) told.end([])
  }

  add(answer: BatchedAnswer, bytes: number): void {
    if (this.#ready.length > 0 && this.#bytes + bytes > MAX_BATCH_BYTES) this.#tell()
    this.#ready.push(answer)
    this.#bytes += bytes
    this.#left -= 1
    if (this.#left === 0) this.#told.end(this.#ready)
    else if (!this.#isScheduled) void this.#tellSoon()
  }

  async #tellSoon(): Promise<void> {
    this.#isScheduled = true
    await turnEnds()
    this.#isScheduled = false
    if (this.#left > 0) this.#tell()
  }

  /** Of answers that are not sent it is told why, with those that come after them. Never throws. */
  #tell(): void {
    const [answers, bytes] = [this.#ready, this.#bytes]
    if (answers.length === 0) return
    this.#ready = []
    this.#bytes = 0
    const unsent = this.#whyUnsent(answers, bytes)
    if (unsent === undefined) return
    const error = withDefinite(unsent, false)
    for (const answer of answers) this.#ready.push('error' in answer ? answer : { at: answer.at, error })
  }

  #whyUnsent(answers: readonly BatchedAnswer[], bytes: number): AtollError | undefined {
    const { caller } = this.#told
    try {
      if (!caller.hasRoomFor(bytes)) return noRoom(bytes, caller.from)
      caller.progress(answers)
      return undefined
    } catch (error) {
      return asAtollError(error, 'an answer')
    }
  }
}

/** Nobody hears what is told before the answer. */
class BatchedContext<Progress> implements CallContext<Progress> {
  readonly #caller: Caller

  constructor(caller: Caller) {
    this.#caller = caller
  }

  get from(): string {
    return this.#caller.from
  }

  get signal(): AbortSignal {
    return this.#caller.signal
  }

  get remainingMs(): number {
    return this.#caller.remainingMs
  }

  progress(): void {}

  hasRoomFor(bytes: number): boolean {
    return this.#caller.hasRoomFor(bytes)
  }
}

function readerOf(fields: BatchedRequest['fields']): TupleReader {
  if (fields instanceof TupleReader) return fields
  throw new AtollError('ATOLL_PROTOCOL', 'a batched request was not read from a message')
}

/** The handler has done its work by now. */
function answered<Response>(
  { name, response: codec }: Pick<Method<never, Response, never>, 'name' | 'response'>,
  response: Response,
): Message {
  try {
    return codec.encode(response)
  } catch (error) {
    if (isAtollError(error)) throw withDefinite(error, false)
    const message = `an answer of ${name} cannot be sent: ${messageOf(error)}`
    throw new AtollError('ATOLL_STORAGE', message, { cause: error, definite: false })
  }
}
