/**
 * Which vnodes have records, without asking the database again and again. What is known holds until a write or deletion
 * could have made it wrong; those are told both when they begin and when they are over.
 */
export class Holdings {
  readonly #known = new Map<number, boolean>()
  /** Counts what could have changed a vnode, so that a look which took its time is not believed. */
  readonly #changes = new Map<number, number>()
  #clears = 0

  /** A record may come, or may have come. */
  growing(partition: number): void {
    if (this.#known.get(partition) !== true) this.#forget(partition)
  }

  /** A record may go, or may have gone. */
  shrinking(partition: number): void {
    if (this.#known.get(partition) !== false) this.#forget(partition)
  }

  /** Looks only where that is needed. */
  async has(partition: number, look: () => Promise<boolean>): Promise<boolean> {
    const known = this.#known.get(partition)
    if (known !== undefined) return known
    const [before, clears] = [this.#changes.get(partition), this.#clears]
    const found = await look()
    if (this.#changes.get(partition) === before && this.#clears === clears) this.#known.set(partition, found)
    return found
  }

  /** Nothing is known any more, and no look that is under way is believed. */
  clear(): void {
    this.#known.clear()
    this.#clears += 1
  }

  #forget(partition: number): void {
    this.#known.delete(partition)
    this.#changes.set(partition, (this.#changes.get(partition) ?? 0) + 1)
  }
}
