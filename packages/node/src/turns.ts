/** What is done with things of a name: one after the other, in the order in which it was asked for. */
export class Turns {
  readonly #last = new Map<string, Promise<void>>()

  /** Begins at once if nothing of that name is under way. */
  take<T>(name: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name)
    const running = before === undefined ? task() : before.then(task)
    this.#await(name, [running])
    return running
  }

  /** Begins at once, whatever is under way; what is asked for later waits for both. */
  interrupt<T>(name: string, task: () => Promise<T>): Promise<T> {
    const running = task()
    this.#await(name, [this.#last.get(name), running])
    return running
  }

  /** Resolves when nothing is under way any more. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values())
  }

  #await(name: string, running: readonly (Promise<unknown> | undefined)[]): void {
    const over = Promise.allSettled(running).then(() => {
      if (this.#last.get(name) === over) this.#last.delete(name)
    })
    this.#last.set(name, over)
  }
}
