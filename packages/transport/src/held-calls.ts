import type { ServerCall } from './server-call.ts'

/** Requests that wait for their turn, in the order in which they came. */
export class HeldCalls {
  readonly #calls = new Set<ServerCall>()
  #bytes = 0

  get size(): number {
    return this.#calls.size
  }

  /** Of their messages. */
  get bytes(): number {
    return this.#bytes
  }

  add(call: ServerCall): void {
    this.#calls.add(call)
    this.#bytes += call.bytes
  }

  delete(call: ServerCall): void {
    if (this.#calls.delete(call)) this.#bytes -= call.bytes
  }

  shift(): ServerCall | undefined {
    const [first] = this.#calls
    if (first !== undefined) this.delete(first)
    return first
  }
}
