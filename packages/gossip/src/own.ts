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
  #digest: Digest

  constructor(node: string) {
    this.#digest = newcomer(node)
  }

  get digest(): Digest {
    return this.#digest
  }

  /** A life begins with a number that nobody is likely to have heard, and with `facts` published before. */
  begin(incarnation: number, facts: number): void {
    this.#digest = { ...this.#digest, incarnation, generation: incarnation, counter: facts }
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

  /** Outdoes what is said of this node, if that is more than it says itself. */
  refute(claim: Digest): Refuted {
    const { incarnation } = this.#digest
    if (compareVerdicts(claim, this.#digest) <= 0) return 'nothing'
    this.#digest = { ...this.#digest, incarnation: claim.incarnation + 1 }
    return claim.incarnation === incarnation ? 'accusation' : 'memory'
  }
}
