import type { Random } from '@atoll/core'
import { type Digest, newcomer } from './digest.ts'

/** What this node knows of the others, and whose turn it is. */
export class View {
  readonly #random: Random
  readonly #digests = new Map<string, Digest>()
  readonly #dead = new Set<string>()
  /** Everybody, in the order in which they are probed. */
  #order: string[] = []
  #turn = 0
  #window = 0

  constructor(random: Random) {
    this.#random = random
  }

  get size(): number {
    return this.#digests.size
  }

  get dead(): ReadonlySet<string> {
    return this.#dead
  }

  get(node: string): Digest | undefined {
    return this.#digests.get(node)
  }

  all(): IterableIterator<Digest> {
    return this.#digests.values()
  }

  put(digest: Digest): void {
    this.#digests.set(digest.node, digest)
    if (digest.status === 'dead') this.#dead.add(digest.node)
    else this.#dead.delete(digest.node)
  }

  /** Makes `names` the members; tells who came and who went. */
  setMembers(names: ReadonlySet<string>): { readonly came: string[]; readonly went: string[] } {
    const came = [...names].filter((name) => !this.#digests.has(name))
    const went = [...this.#digests.keys()].filter((name) => !names.has(name))
    for (const name of came) this.put(newcomer(name))
    for (const name of went) {
      this.#digests.delete(name)
      this.#dead.delete(name)
    }
    if (came.length + went.length > 0) {
      this.#order = this.#shuffled([...this.#digests.keys()])
      this.#turn = 0
    }
    return { came, went }
  }

  /**
   * The next `count` that are accepted: everybody has a turn before anybody has another one, in an order that is drawn anew
   * for each time round (SWIM, section 4.3).
   */
  next(count: number, accept: (digest: Digest) => boolean): string[] {
    const chosen: string[] = []
    for (let looked = 0; looked < this.#order.length && chosen.length < count; looked++) {
      if (this.#turn >= this.#order.length) {
        this.#order = this.#shuffled(this.#order)
        this.#turn = 0
      }
      const digest = this.#digests.get(this.#order[this.#turn++] ?? '')
      if (digest !== undefined && accept(digest) && !chosen.includes(digest.node)) chosen.push(digest.node)
    }
    return chosen
  }

  /** Up to `count` of those that are accepted, drawn. Where few are, a large cluster may not find all of them. */
  sample(count: number, accept: (digest: Digest) => boolean): string[] {
    const chosen = new Set<string>()
    const pool = this.#order
    if (pool.length <= 4 * count) {
      const accepted = pool.filter((node) => this.#accepts(node, accept))
      return this.#shuffled(accepted).slice(0, count)
    }
    for (let tries = 0; tries < 8 * count && chosen.size < count; tries++) {
      const node = pool[this.#random.below(pool.length)] ?? ''
      if (this.#accepts(node, accept)) chosen.add(node)
    }
    return [...chosen]
  }

  /** Up to `count` of the dead, drawn. */
  sampleDead(count: number): string[] {
    return this.#dead.size === 0 ? [] : this.#shuffled([...this.#dead]).slice(0, count)
  }

  /** The next `count` digests, in turn. */
  window(count: number): Digest[] {
    const digests: Digest[] = []
    for (let at = 0; at < Math.min(count, this.#order.length); at++) {
      const digest = this.#digests.get(this.#order[this.#window++ % this.#order.length] ?? '')
      if (digest !== undefined) digests.push(digest)
    }
    return digests
  }

  #accepts(node: string, accept: (digest: Digest) => boolean): boolean {
    const digest = this.#digests.get(node)
    return digest !== undefined && accept(digest)
  }

  /** Fisher and Yates. */
  #shuffled(names: readonly string[]): string[] {
    const shuffled = [...names]
    for (let at = shuffled.length - 1; at > 0; at--) {
      const other = this.#random.below(at + 1)
      const [a, b] = [shuffled[at], shuffled[other]]
      if (a !== undefined && b !== undefined) [shuffled[at], shuffled[other]] = [b, a]
    }
    return shuffled
  }
}
