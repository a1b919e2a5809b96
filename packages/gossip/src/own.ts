import { compareVerdicts, type Digest, newcomer } from './digest.ts'

/** What a claim about this node was. */
export type Refuted =
  | 'nothing'
  /** Somebody believes that this life has ended. */
  | 'accusation'
  /** Somebody speaks of a former life, which was further. */
  | 'memory'

/** The digest of this node itself. Nobody else counts up its numbers, so whoever says more speaks of a former life. */
export class Own {
  readonly #periodMs: number
  #digest: Digest
  /** From when on an accusation is refuted at once. */
  #openMs = Number.NEGATIVE_INFINITY
  /** The accusation that is refuted then. */
  #accusation: Digest | undefined

  constructor(node: string, periodMs: number) {
    this.#periodMs = periodMs
    this.#digest = newcomer(node)
  }

  /** When an accusation that was put off is to be refuted. */
  get nextMs(): number {
    return this.#accusation === undefined ? Number.POSITIVE_INFINITY : this.#openMs
  }

  get digest(): Digest {
    return this.#digest
  }

  /** A life begins with a number that nobody is likely to have heard, and with `facts` published before. */
  begin(incarnation: number, facts: number): void {
    this.#digest = { ...this.#digest, incarnation, generation: incarnation, counter: facts }
    this.#openMs = Number.NEGATIVE_INFINITY
    this.#accusation = undefined
  }

  /** The facts of this life are to be newer than those of the claim. */
  beginAfter(claim: Digest, facts: number): void {
    this.#digest = { ...this.#digest, generation: claim.generation + 1, counter: facts }
  }

  published(): void {
    this.#digest = { ...this.#digest, counter: this.#digest.counter + 1 }
  }

  /** True if that is a newer version of the document. */
  documentIs(version: number): boolean {
    if (version <= this.#digest.documentVersion) return false
    this.#digest = { ...this.#digest, documentVersion: version }
    return true
  }

  /**
   * Outdoes what is said of this node, if that is more than it says itself. Of accusations one in each period: others who
   * cannot reach this node accuse it again as soon as they have heard that it lives, and a suspect has periods of time.
   */
  refute(claim: Digest, nowMs: number): Refuted {
    if (compareVerdicts(claim, this.#digest) <= 0) return 'nothing'
    const isMemory = claim.incarnation > this.#digest.incarnation
    if (!isMemory && nowMs < this.#openMs) {
      this.#accusation = claim
      return 'nothing'
    }
    this.#accusation = undefined
    if (!isMemory) this.#openMs = nowMs + this.#periodMs
    this.#digest = { ...this.#digest, incarnation: claim.incarnation + 1 }
    return isMemory ? 'memory' : 'accusation'
  }

  /** Refutes the accusation that was put off, if its time has come. */
  refuteDue(nowMs: number): Refuted {
    const accusation = this.#accusation
    if (accusation === undefined || nowMs < this.#openMs) return 'nothing'
    this.#accusation = undefined
    return this.refute(accusation, nowMs)
  }
}
