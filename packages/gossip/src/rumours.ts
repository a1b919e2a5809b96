/** The nodes of which there is news to tell, the least told first. */
class Tellings {
  /** The nodes that were told of so many times. */
  readonly #levels: Set<string>[] = []
  readonly #levelOf = new Map<string, number>()

  add(node: string): void {
    this.delete(node)
    this.#put(node, 0)
  }

  delete(node: string): void {
    const level = this.#levelOf.get(node)
    if (level === undefined) return
    this.#levelOf.delete(node)
    this.#levels[level]?.delete(node)
  }

  /** Up to `count` nodes, each of which has then been told of once more, and is left out after `times`. */
  take(count: number, times: number): string[] {
    const taken: string[] = []
    if (this.#levelOf.size === 0) return taken
    for (const level of this.#levels) {
      for (const node of level) {
        if (taken.length >= count) break
        taken.push(node)
      }
    }
    for (const node of taken) {
      const told = (this.#levelOf.get(node) ?? 0) + 1
      this.delete(node)
      if (told < times) this.#put(node, told)
    }
    return taken
  }

  #put(node: string, level: number): void {
    while (this.#levels.length <= level) this.#levels.push(new Set())
    this.#levels[level]?.add(node)
    this.#levelOf.set(node, level)
  }
}

/**
 * What rides on every message (SWIM, section 4.1): each piece of news a bounded number of times, so that a message costs the
 * same in a cluster of any size. Verdicts go before facts. There is at most one entry for each node.
 */
export class Rumours {
  readonly #verdicts = new Tellings()
  readonly #facts = new Tellings()

  verdict(node: string): void {
    this.#facts.delete(node)
    this.#verdicts.add(node)
  }

  facts(node: string): void {
    this.#facts.add(node)
  }

  forget(node: string): void {
    this.#verdicts.delete(node)
    this.#facts.delete(node)
  }

  take(count: number, times: number): string[] {
    const verdicts = this.#verdicts.take(count, times)
    return verdicts.concat(this.#facts.take(count - verdicts.length, times))
  }
}
