import { type AtollError, LineLimit, type Runtime } from '@atoll/core'

/** The same node knocks again and again: it is written down so often at most. */
const PAUSE_MS = 60_000

/** Writes down, but not without end, that a peer is not what its name stands for. */
export class Mismatches {
  readonly #runtime: Runtime
  readonly #node: string
  readonly #lines: LineLimit

  constructor(runtime: Runtime, node: string) {
    this.#runtime = runtime
    this.#node = node
    this.#lines = new LineLimit(runtime.clock, PAUSE_MS)
  }

  note(peer: string, error: AtollError): void {
    const held = this.#lines.take(peer)
    if (held === undefined) return
    const fields = { node: this.#node, peer, why: error.message, held }
    this.#runtime.log.error(
      fields,
      'a node of a known name has other data than the cluster knows of that name',
    )
  }
}
