/** Counts the handlers that run, against a limit. */
export class HandlerSlots {
  readonly limit: number
  #running = 0
  #onIdle: (() => void) | undefined

  constructor(limit: number) {
    this.limit = limit
  }

  /** False if the limit is reached. */
  take(): boolean {
    if (this.#running >= this.limit) return false
    this.#running += 1
    return true
  }

  free(): void {
    this.#running -= 1
    if (this.#running === 0) this.#onIdle?.()
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    if (this.#running === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle = resolve
    })
  }
}
