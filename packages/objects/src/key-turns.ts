import { AtollError } from '@atoll/core'

/** One task at a time for each key, in the order of arrival; different keys do not wait for each other. */
export class KeyTurns {
  readonly #ends = new Map<string, Promise<void>>()
  readonly #maxWaiting: number
  #waiting = 0

  /** Past `maxWaiting` tasks, running ones included, a further one is refused with `ATOLL_OVERLOADED`. */
  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting
  }

  isBusy(key: string): boolean {
    return this.#ends.has(key)
  }

  /** Throws if there are too many. */
  checkRoom(): void {
    if (this.#waiting >= this.#maxWaiting)
      throw new AtollError('ATOLL_OVERLOADED', `${this.#maxWaiting} writes are in progress already`)
  }

  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    this.checkRoom()
    this.#waiting += 1
    const before = this.#ends.get(key)
    const running = before === undefined ? task() : before.then(task)
    const end = running.then(
      () => {},
      () => {},
    )
    this.#ends.set(key, end)
    try {
      return await running
    } finally {
      this.#waiting -= 1
      if (this.#ends.get(key) === end) this.#ends.delete(key)
    }
  }
}
