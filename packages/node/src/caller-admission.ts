import { LineLimit, type Runtime } from '@atoll/core'
import type { ClusterDocument } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'

export interface CallerAdmissionParts {
  readonly document: () => ClusterDocument | undefined
  /** Asks other members for a newer document. */
  readonly catchUp: () => Promise<void>
}

/** For so long a name that is none of a member's is not asked about again. */
const STRANGER_MS = 1000
const MAX_STRANGERS = 1024
const LINES_MS = 10_000

/**
 * Lets members alone call this node: a certificate of the right authority says who somebody is, not that it belongs to the
 * cluster. A node that this one does not know may be a member of a newer document, which is fetched before it is refused.
 */
export class CallerAdmission {
  readonly #runtime: Runtime
  readonly #parts: CallerAdmissionParts
  readonly #lines: LineLimit
  /** Until when each of them is refused without a question. */
  readonly #strangers = new Map<NodeName, number>()
  #catchingUp: Promise<void> | undefined

  constructor(runtime: Runtime, parts: CallerAdmissionParts) {
    this.#runtime = runtime
    this.#parts = parts
    this.#lines = new LineLimit(runtime.clock, LINES_MS)
  }

  readonly admits = (node: NodeName): boolean | Promise<boolean> => {
    if (this.#isMember(node)) return true
    const untilMs = this.#strangers.get(node) ?? Number.NEGATIVE_INFINITY
    if (this.#runtime.clock.monotonicMs() < untilMs) return false
    return this.#askAbout(node)
  }

  /** A node without a document has nothing that could be kept from anybody. */
  #isMember(node: NodeName): boolean {
    return this.#parts.document()?.members.has(node) ?? true
  }

  async #askAbout(node: NodeName): Promise<boolean> {
    this.#catchingUp ??= this.#parts.catchUp().finally(() => {
      this.#catchingUp = undefined
    })
    await this.#catchingUp.catch(() => {})
    if (this.#isMember(node)) return true
    const { clock, log, metrics } = this.#runtime
    if (this.#strangers.size >= MAX_STRANGERS) this.#strangers.clear()
    this.#strangers.set(node, clock.monotonicMs() + STRANGER_MS)
    metrics.count('atoll_node_strangers_refused_total')
    const others = this.#lines.take('')
    if (others !== undefined)
      log.warn({ stranger: node, others }, 'a call by a node that is not a member of the cluster was refused')
    return false
  }
}
