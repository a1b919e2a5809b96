/** Counts what is in progress, up to a limit, and tells when it is over. */
export class InFlight {
  readonly limit: number
  #count = 0
  #waiting: (() => void)[] = []

  constructor(limit: number) {
    this.limit = limit
  }

  get count(): number {
    return this.#count
  }

  get full(): boolean {
    return this.#count >= this.limit
  }

  enter(): void {
    this.#count += 1
  }

  leave(): void {
    this.#count -= 1
    if (this.#count > 0 || this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    this.enter()
    try {
      return await task()
    } finally {
      this.leave()
    }
  }

  /** Resolves at once if nothing is in progress, and otherwise when the last has left. */
  idle(): Promise<void> {
    if (this.#count === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
    })
  }
}
