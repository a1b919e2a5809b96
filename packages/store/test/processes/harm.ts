/** What happens to the nodes now, and what did: a client's request to a node that is harmed may fail. */
export class Harm {
  /** For whoever reads of a failure. */
  story = 'before the first fault'
  readonly #times = new Map<string, number>()
  #current: string | undefined
  #isAway = false

  /** The node that is dead or stands still. */
  get current(): string | undefined {
    return this.#current
  }

  /** A node was harmed, and not all others have seen it again: a fallback may take what is written for it. */
  get isAway(): boolean {
    return this.#isAway
  }

  begin(node: string): void {
    this.#current = node
    this.#isAway = true
    this.#times.set(node, this.times(node) + 1)
  }

  end(): void {
    this.#current = undefined
  }

  /** All others have seen it again. */
  seen(): void {
    this.#isAway = false
  }

  /** How often a node was harmed so far. */
  times(node: string): number {
    return this.#times.get(node) ?? 0
  }
}
