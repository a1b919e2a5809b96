import { compareVerdicts, type Digest, hasNewerFacts, isNews } from './digest.ts'
import type { Facts, FactsDelta } from './facts.ts'
import type { FullGossipOptions } from './options.ts'
import type { Own } from './own.ts'
import type { Rumours } from './rumours.ts'
import type { View } from './view.ts'

export interface TellerParts {
  readonly own: Own
  readonly view: View
  readonly facts: Facts
  readonly rumours: Rumours
  readonly options: FullGossipOptions
}

export interface Comparison {
  readonly digests: readonly Digest[]
  readonly deltas: readonly FactsDelta[]
}

/** What a node tells others. */
export class Teller {
  readonly #parts: TellerParts
  /** Those who speak as if they did not know what is said of them. */
  readonly #unaware = new Set<string>()

  constructor(parts: TellerParts) {
    this.#parts = parts
  }

  /**
   * What goes with a message to `peer`: this node, what is said of the peer itself (Lifeguard's buddy system: a suspect
   * learns of it with the next message), and some of the news.
   */
  newsFor(peer: string): readonly Digest[] {
    const { own, view, rumours, options } = this.#parts
    const times = Math.ceil(options.rumourMultiplier * Math.log2(view.size + 2))
    const digests: Digest[] = [own.digest]
    const claim = view.get(peer)
    if (claim !== undefined && (claim.status !== 'alive' || this.#unaware.has(peer))) digests.push(claim)
    for (const node of rumours.take(options.maxRumours, times)) {
      const digest = view.get(node)
      if (digest !== undefined && node !== peer) digests.push(digest)
    }
    return digests
  }

  /** What this node knows better than `theirs` say. */
  compare(theirs: readonly Digest[]): Comparison {
    const { own, view, facts, options } = this.#parts
    const digests: Digest[] = [own.digest]
    const deltas: FactsDelta[] = []
    let bytes = options.maxExchangeBytes
    for (const their of theirs) {
      const mine = their.node === own.digest.node ? own.digest : view.get(their.node)
      if (mine === undefined) continue
      if (mine !== own.digest && isNews(mine, their)) digests.push(mine)
      if (!hasNewerFacts(mine, their)) continue
      const delta = facts.delta(mine, their, bytes)
      if (delta === undefined) continue
      deltas.push(delta)
      bytes -= delta.facts.reduce((sum, { value }) => sum + value.length, 0)
    }
    return { digests, deltas }
  }

  /** A process that was started anew knows nothing of its former life until it is told. */
  hearOfItself(itself: Digest): void {
    const mine = this.#parts.view.get(itself.node)
    if (mine !== undefined && (compareVerdicts(mine, itself) > 0 || hasNewerFacts(mine, itself)))
      this.#unaware.add(itself.node)
    else this.#unaware.delete(itself.node)
  }

  forget(node: string): void {
    this.#unaware.delete(node)
  }
}
