import { AtollError } from '@atoll/core'
import { Fifo } from './fifo.ts'
import { ReceiveFlow } from './stream-flow.ts'

type Result = IteratorResult<Uint8Array, undefined>

interface Reader {
  readonly resolve: (result: Result) => void
  readonly reject: (error: unknown) => void
}

export const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** The bytes that come in, from the frames of the other side to the one reader of this side. */
export class StreamInput {
  readonly #label: string
  readonly #onGrant: () => void
  readonly #flow: ReceiveFlow
  readonly #chunks = new Fifo<Uint8Array>()
  #reader: Reader | undefined
  #ended = false
  #error: AtollError | undefined

  /** `onGrant` is called when the reader made enough room to tell the writer. */
  constructor(label: string, windowBytes: number, onGrant: () => void) {
    this.#label = label
    this.#onGrant = onGrant
    this.#flow = new ReceiveFlow(windowBytes)
  }

  /** True once no more bytes come in. What came before may still be read. */
  get ended(): boolean {
    return this.#ended
  }

  get limit(): number {
    return this.#flow.limit
  }

  /** Takes a chunk; returns what is wrong with it. */
  take(offset: number, chunk: Uint8Array): AtollError | undefined {
    const missing = this.missing(offset)
    if (missing !== undefined) return missing
    const arrival = this.#flow.arrived(offset, chunk.length)
    if (arrival === 'overrun') {
      return new AtollError('ATOLL_PROTOCOL', `${this.#label} sent more than it was granted`, {
        definite: false,
      })
    }
    if (arrival === 'take') this.#give(chunk)
    return undefined
  }

  /** What is wrong if the other side has sent `offset` bytes by now. */
  missing(offset: number): AtollError | undefined {
    const expected = this.#flow.offset
    if (this.#ended || offset <= expected) return undefined
    const message = `bytes ${expected} to ${offset} of ${this.#label} were lost on the way`
    return new AtollError('ATOLL_UNREACHABLE', message, { definite: false })
  }

  end(): void {
    this.#ended = true
    this.#reader?.resolve(DONE)
    this.#reader = undefined
  }

  fail(error: AtollError): void {
    this.#error = error
    this.discard()
    this.#reader?.reject(error)
    this.#reader = undefined
  }

  /** Forgets what nobody will read. */
  discard(): void {
    this.#chunks.clear()
  }

  read(): Promise<Result> {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) return Promise.resolve(this.#consume(chunk))
    if (this.#error !== undefined) return Promise.reject(this.#error)
    if (this.#ended) return Promise.resolve(DONE)
    if (this.#reader !== undefined)
      return Promise.reject(new TypeError(`${this.#label} has a reader already`))
    return new Promise((resolve, reject) => {
      this.#reader = { resolve, reject }
    })
  }

  #give(chunk: Uint8Array): void {
    const reader = this.#reader
    this.#reader = undefined
    if (reader === undefined) this.#chunks.push(chunk)
    else reader.resolve(this.#consume(chunk))
  }

  #consume(chunk: Uint8Array): Result {
    if (this.#flow.consumed(chunk.length) && !this.#ended) this.#onGrant()
    return { done: false, value: chunk }
  }
}
