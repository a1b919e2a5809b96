/** Gives a slot back; a second call does nothing. */
export type Release = () => void

/** A fixed number of slots that all streams of a store share, handed out in the order of asking. */
export class Slots {
  #free: number
  readonly #waiting: ((release: Release) => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  /** Resolves when there is a slot. How many may wait is the caller's to bound: here, one for each stream. */
  take(): Promise<Release> {
    const taken = this.tryTake()
    if (taken !== undefined) return Promise.resolve(taken)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  tryTake(): Release | undefined {
    if (this.#free === 0) return undefined
    this.#free -= 1
    return this.#release()
  }

  #release(): Release {
    let held = true
    return () => {
      if (!held) return
      held = false
      const next = this.#waiting.shift()
      if (next === undefined) this.#free += 1
      else next(this.#release())
    }
  }
}
