import { AtollError, checkBytes, checkText } from '@atoll/core'
import type { Digest } from './digest.ts'

/** One thing that a node says of itself. */
export interface Fact {
  readonly name: string
  /** Which publication of its node it was. */
  readonly counter: number
  readonly value: Uint8Array
}

/**
 * What somebody lacks of the facts of one node: all that there is between `after` (excluded; 0 for everything) and
 * `upTo`, in the order of publication, so that a delta cut short is a shorter delta.
 */
export interface FactsDelta {
  readonly node: string
  readonly generation: number
  readonly after: number
  readonly upTo: number
  readonly facts: readonly Fact[]
}

export interface FactLimits {
  readonly maxFacts: number
  readonly maxFactBytes: number
}

/** What a fact costs in a message beside its value, at most. */
const FACT_OVERHEAD_BYTES = 300

const NONE: ReadonlyMap<string, Fact> = new Map()

/** The facts of all nodes, by node and name. Whose are how new is in their digests. */
export class Facts {
  readonly #facts = new Map<string, ReadonlyMap<string, Fact>>()

  of(node: string): ReadonlyMap<string, Fact> {
    return this.#facts.get(node) ?? NONE
  }

  forget(node: string): void {
    this.#facts.delete(node)
  }

  /** Throws `TypeError`, `RangeError`, or `ATOLL_OVERLOADED` for a name too many. */
  publish(node: string, fact: Fact, limits: FactLimits): void {
    checkText('name of a fact', fact.name, /^.{1,64}$/u, 'text of 1 to 64 characters')
    checkBytes(`fact ${fact.name}`, fact.value, { min: 0, max: limits.maxFactBytes })
    const before = this.of(node)
    if (!before.has(fact.name) && before.size >= limits.maxFacts)
      throw new AtollError('ATOLL_OVERLOADED', `a node publishes at most ${limits.maxFacts} facts`)
    this.#facts.set(node, ordered([...before.values()], [fact]))
  }

  /** Counts the facts of `node` anew from 1; answers how many there are. */
  renumber(node: string): number {
    const facts = [...this.of(node).values()].map((fact, at) => ({ ...fact, counter: at + 1 }))
    if (facts.length > 0) this.#facts.set(node, ordered([], facts))
    return facts.length
  }

  /** What `theirs` lacks of `mine`; undefined if not even the first fact goes into `maxBytes`. */
  delta(mine: Digest, theirs: Digest, maxBytes: number): FactsDelta | undefined {
    const after = theirs.generation === mine.generation ? theirs.counter : 0
    const missing = [...this.of(mine.node).values()].filter(({ counter }) => counter > after)
    const facts: Fact[] = []
    let bytes = 0
    for (const fact of missing) {
      bytes += fact.value.length + FACT_OVERHEAD_BYTES
      if (bytes > maxBytes) break
      facts.push(fact)
    }
    const complete = facts.length === missing.length
    if (!complete && facts.length === 0) return undefined
    const upTo = complete ? mine.counter : (facts.at(-1)?.counter ?? after)
    return { node: mine.node, generation: mine.generation, after, upTo, facts }
  }

  /**
   * Takes over what a delta brings to the holder of `mine`; answers the names that changed, or undefined if it does not
   * fit.
   */
  apply(mine: Digest, delta: FactsDelta, limits: FactLimits): readonly string[] | undefined {
    const { node, generation, after, upTo } = delta
    const same = generation === mine.generation
    if (generation < mine.generation || (same && upTo <= mine.counter)) return undefined
    if (after > (same ? mine.counter : 0)) return undefined
    const before = same ? this.of(node) : NONE
    const fresh = delta.facts.filter(({ counter }) => !same || counter > mine.counter)
    const facts = ordered([...before.values()], fresh)
    if (facts.size > limits.maxFacts) return undefined
    if (fresh.some(({ value }) => value.length > limits.maxFactBytes)) return undefined
    const lost = [...this.of(node).keys()].filter((name) => !facts.has(name))
    this.#facts.set(node, facts)
    return [...fresh.map(({ name }) => name), ...lost]
  }
}

/** In the order of publication, which is that of a map whose entries are taken out before they are put in anew. */
function ordered(before: readonly Fact[], fresh: readonly Fact[]): ReadonlyMap<string, Fact> {
  const facts = new Map(before.map((fact) => [fact.name, fact]))
  for (const fact of fresh) {
    facts.delete(fact.name)
    facts.set(fact.name, fact)
  }
  return facts
}
