import type { AtollError, Runtime } from '@atoll/core'

/** The same node knocks again and again: it is written down so often at most. */
const PAUSE_MS = 60_000
/** Names that are kept at most; the oldest goes first. */
const MAX_NAMES = 256

interface Noted {
  readonly atMs: number
  /** How many times it was turned away since without a line. */
  silent: number
}

/** Writes down, but not without end, that a peer is not what its name stands for. */
export class Mismatches {
  readonly #runtime: Runtime
  readonly #node: string
  readonly #noted = new Map<string, Noted>()

  constructor(runtime: Runtime, node: string) {
    this.#runtime = runtime
    this.#node = node
  }

  note(peer: string, error: AtollError): void {
    const { clock, log } = this.#runtime
    const nowMs = clock.monotonicMs()
    const last = this.#noted.get(peer)
    if (last !== undefined && nowMs - last.atMs < PAUSE_MS) {
      last.silent += 1
      return
    }
    this.#noted.delete(peer)
    const [oldest] = this.#noted.size >= MAX_NAMES ? this.#noted.keys() : []
    if (oldest !== undefined) this.#noted.delete(oldest)
    this.#noted.set(peer, { atMs: nowMs, silent: 0 })
    const fields = { node: this.#node, peer, why: error.message, silent: last?.silent ?? 0 }
    log.error(fields, 'a node is not what its name stands for')
  }
}
