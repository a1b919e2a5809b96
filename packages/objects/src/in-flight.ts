import pLimit from 'p-limit'

/** Tasks of which a bounded number runs at the same time. The first that fails fails all that follows. */
export class InFlight {
  readonly #limit
  readonly #running = new Set<Promise<void>>()
  #failure: { readonly error: unknown } | undefined

  constructor(concurrency: number) {
    this.#limit = pLimit(concurrency)
  }

  /** Takes a task, and resolves when it has begun. Throws what an earlier one has failed with. */
  async add(task: () => Promise<void>): Promise<void> {
    this.#throwFailure()
    const run = this.#limit(task).catch((error: unknown) => {
      this.#failure ??= { error }
    })
    const tracked = run.then(() => void this.#running.delete(tracked))
    this.#running.add(tracked)
    while (this.#limit.pendingCount > 0) await Promise.race(this.#running)
    this.#throwFailure()
  }

  /** Resolves when all are done; throws what one has failed with. */
  async drain(): Promise<void> {
    await this.settle()
    this.#throwFailure()
  }

  /** Resolves when all are done, well or not. */
  async settle(): Promise<void> {
    await Promise.all(this.#running)
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
