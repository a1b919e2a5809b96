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

  /** To be given back to `leave`. */
  enter(): Group {
    this.#group.count += 1
    return this.#group
  }

  leave(group: Group): void {
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
}

function newGroup(): Group {
  return { count: 0, isClosed: false, onOver: undefined }
}
