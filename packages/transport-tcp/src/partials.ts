/** Who receives frames. */
export interface PartialOwner {
  /** It is to let go of what it holds. */
  crowdedOut(): void
}

/**
 * The memory of all frames of which only a part has arrived. When it is too much, the frame that is under way for longest is
 * given up: a peer that goes on slowly, or not at all, makes room for those that go on.
 */
export class Partials {
  readonly #maxBytes: number
  /** In the order in which their frames began. */
  readonly #held = new Map<PartialOwner, number>()
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Says how much an owner holds now. A frame that is complete gives up its place to the next one. */
  hold(owner: PartialOwner, bytes: number): void {
    const before = this.#held.get(owner) ?? 0
    if (bytes === before) return
    this.#bytes += bytes - before
    if (bytes < before) this.#held.delete(owner)
    if (bytes > 0) this.#held.set(owner, bytes)
    if (this.#bytes > this.#maxBytes) this.#makeRoom()
  }

  #makeRoom(): void {
    for (const [owner, bytes] of this.#held) {
      if (this.#bytes <= this.#maxBytes) return
      this.#held.delete(owner)
      this.#bytes -= bytes
      owner.crowdedOut()
    }
  }
}
