import { AtollError, EMPTY_BYTES, TupleReader } from '@atoll/core'
import {
  type BatchedAnswer,
  type BatchedRequest,
  type BatchMethod,
  MAX_BATCH_BYTES,
  MAX_BATCHED,
  MAX_BATCHED_BYTES,
  messageBytes,
} from './batch-messages.ts'
import { isCapable } from './capabilities.ts'
import type { RpcEndpoint } from './endpoint.ts'
import { asAtollError } from './error-codec.ts'
import type { Message, Method } from './method.ts'
import { turnEnds } from './turn.ts'

/** Batched requests to one node that wait for their answers at a time. */
const MAX_UNDER_WAY = 4096

export interface BatchCallsParts {
  readonly endpoint: Pick<RpcEndpoint, 'call' | 'capabilitiesOf'>
  readonly method: BatchMethod
  /** Of nodes that serve that method; others get each request by itself. */
  readonly capability: string
}

/** Who asked. */
interface Waiting {
  readonly answer: (fields: TupleReader, body: Uint8Array) => void
  readonly fail: (error: unknown) => void
  readonly askAlone: () => void
}

interface BatchCall<Request, Response, Progress> {
  readonly node: string
  readonly method: Method<Request, Response, Progress>
  readonly request: Request
  readonly timeoutMs: number
}

/**
 * Small requests that go to one node within one turn travel as one message: to carry a message costs as much as several
 * such requests. Nothing waits for company: what is there at the end of the turn goes. Each is answered by itself, and fails
 * by itself; only what becomes of the message becomes of all. What a handler tells before its answer is not heard.
 */
export class BatchCalls {
  readonly #parts: BatchCallsParts
  /** By node: those that others may still join. */
  readonly #open = new Map<string, Batch>()
  /** All of this turn. */
  #going: Batch[] = []
  readonly #underWay = new Map<string, number>()

  constructor(parts: BatchCallsParts) {
    this.#parts = parts
  }

  /** Rejects as `call` of the endpoint. */
  call<Request, Response, Progress>(
    node: string,
    method: Method<Request, Response, Progress>,
    request: Request,
    { timeoutMs }: { readonly timeoutMs: number },
  ): Promise<Response> {
    const { endpoint, capability } = this.#parts
    if (!isCapable(endpoint, node, capability)) return endpoint.call(node, method, request, { timeoutMs })
    return new Promise((resolve, reject) => {
      const message = method.request.encode(request)
      const bytes = messageBytes(message)
      if (bytes > MAX_BATCHED_BYTES) resolve(endpoint.call(node, method, request, { timeoutMs }))
      else this.#add({ node, method, request, timeoutMs }, { message, bytes, resolve, reject })
    })
  }

  #add<Request, Response, Progress>(
    call: BatchCall<Request, Response, Progress>,
    {
      message,
      bytes,
      resolve,
      reject,
    }: {
      readonly message: Message
      readonly bytes: number
      readonly resolve: (response: Response | Promise<Response>) => void
      readonly reject: (error: unknown) => void
    },
  ): void {
    const { node, method } = call
    this.#enter(node)
    const { tuple: fields, body = EMPTY_BYTES } = message
    const answer = (reader: TupleReader, answered: Uint8Array) => {
      this.#leave(node)
      try {
        const response = method.response.decode(reader, answered)
        reader.end()
        resolve(response)
      } catch (cause) {
        reject(unreadable(`${method.name} on ${node}`, cause))
      }
    }
    const fail = (error: unknown) => {
      this.#leave(node)
      reject(error)
    }
    const { request, timeoutMs } = call
    const askAlone = () => {
      this.#leave(node)
      resolve(this.#parts.endpoint.call(node, method, request, { timeoutMs }))
    }
    this.#batchFor(call, bytes).add({ method: method.name, fields, body }, { answer, fail, askAlone }, bytes)
  }

  /** The batch that such a request still fits into. */
  #batchFor({ node, timeoutMs }: Pick<BatchCall<never, never, never>, 'node' | 'timeoutMs'>, bytes: number) {
    const open = this.#open.get(node)
    if (open?.timeoutMs === timeoutMs && open.hasRoomFor(bytes)) return open
    const batch = new Batch(node, timeoutMs)
    this.#open.set(node, batch)
    this.#going.push(batch)
    if (this.#going.length === 1) void this.#sendAll()
    return batch
  }

  /** One end of the turn for all of its batches. */
  async #sendAll(): Promise<void> {
    await turnEnds()
    const going = this.#going
    this.#going = []
    this.#open.clear()
    for (const batch of going) void batch.send(this.#parts)
  }

  #enter(node: string): void {
    const count = this.#underWay.get(node) ?? 0
    if (count >= MAX_UNDER_WAY)
      throw new AtollError('ATOLL_OVERLOADED', `${MAX_UNDER_WAY} calls to ${node} wait for an answer`)
    this.#underWay.set(node, count + 1)
  }

  #leave(node: string): void {
    const count = this.#underWay.get(node) ?? 0
    if (count > 1) this.#underWay.set(node, count - 1)
    else this.#underWay.delete(node)
  }
}

/** Requests of one turn to one node that have as long for their answers. */
class Batch {
  readonly timeoutMs: number
  readonly #node: string
  readonly #requests: BatchedRequest[] = []
  /** By the place of their requests, until these are answered. */
  readonly #waiting: (Waiting | undefined)[] = []
  #bytes = 0

  constructor(node: string, timeoutMs: number) {
    this.#node = node
    this.timeoutMs = timeoutMs
  }

  hasRoomFor(bytes: number): boolean {
    return this.#requests.length < MAX_BATCHED && this.#bytes + bytes <= MAX_BATCH_BYTES
  }

  add(request: BatchedRequest, waiting: Waiting, bytes: number): void {
    this.#requests.push(request)
    this.#waiting.push(waiting)
    this.#bytes += bytes
  }

  async send({ endpoint, method }: BatchCallsParts): Promise<void> {
    const { timeoutMs } = this
    const [first] = this.#waiting
    if (this.#waiting.length === 1) return first?.askAlone()
    const onProgress = (answers: readonly BatchedAnswer[]) => this.#take(answers)
    try {
      this.#take(await endpoint.call(this.#node, method, this.#requests, { timeoutMs, onProgress }))
      // An error is made only where there is one: its stack costs as much as three calls.
      if (this.#isAnyLeft) this.#failRest(lost(this.#node))
    } catch (error) {
      this.#failRest(error)
    }
  }

  #take(answers: readonly BatchedAnswer[]): void {
    for (const answer of answers) {
      const waiting = this.#waiting[answer.at]
      this.#waiting[answer.at] = undefined
      if ('error' in answer) waiting?.fail(answer.error)
      else if (answer.fields instanceof TupleReader) waiting?.answer(answer.fields, answer.body)
    }
  }

  get #isAnyLeft(): boolean {
    for (const waiting of this.#waiting) if (waiting !== undefined) return true
    return false
  }

  #failRest(error: unknown): void {
    for (const waiting of this.#waiting) waiting?.fail(error)
    this.#waiting.length = 0
  }
}

function unreadable(what: string, cause: unknown): AtollError {
  const { message } = asAtollError(cause, what)
  return new AtollError('ATOLL_CORRUPT', `${what} answered what cannot be read: ${message}`, {
    cause,
    definite: false,
  })
}

/** It was told before all others were, and that did not arrive. */
function lost(node: string): AtollError {
  return new AtollError('ATOLL_UNREACHABLE', `an answer of ${node} was lost on its way`, { definite: false })
}
