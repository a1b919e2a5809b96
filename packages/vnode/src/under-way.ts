/** What began between two questions of `idle`. */
export interface Group {
  count: number
  isClosed: boolean
  onOver: (() => void) | undefined
}

/** Counts what is under way, and tells when that of a moment is over, whatever begins later. */
export class UnderWay {
  #group: Group = newGroup()
  /** Closed ones of which something is under way. */
  readonly #before = new Map<Group, Promise<void>>()
  #count = 0
  /** How much has ever begun. */
  #entered = 0

  /** To be given back to `leave`. */
  enter(): Group {
    this.#count += 1
    this.#entered += 1
    this.#group.count += 1
    return this.#group
  }

  leave(group: Group): void {
    this.#count -= 1
    group.count -= 1
    if (group.count === 0 && group.isClosed) group.onOver?.()
  }

  /** Resolves when what is under way at this moment is over. */
  async idle(): Promise<void> {
    const group = this.#group
    if (group.count > 0) {
      this.#group = newGroup()
      group.isClosed = true
      const over = new Promise<void>((resolve) => {
        group.onOver = resolve
      })
      this.#before.set(group, over)
      void over.then(() => this.#before.delete(group))
    }
    await Promise.all(this.#before.values())
  }

  /** What a look finds while nothing is under way; undefined if something begins meanwhile. */
  async quietly<T>(look: () => Promise<T>): Promise<T | undefined> {
    await this.idle()
    const entered = this.#entered
    if (this.#count > 0) return undefined
    const found = await look()
    return entered === this.#entered ? found : undefined
  }
}

function newGroup(): Group {
  return { count: 0, isClosed: false, onOver: undefined }
}
