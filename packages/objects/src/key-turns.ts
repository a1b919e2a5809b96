import { AtollError } from '@atoll/core'

/** One task at a time for each key, in the order of arrival; different keys do not wait for each other. */
export class KeyTurns {
  /** Those that wait, by the key of which a task runs. */
  readonly #waiting = new Map<string, (() => void)[]>()
  readonly #maxTasks: number
  #tasks = 0

  /** Past `maxTasks` tasks, running ones included, a further one is refused with `ATOLL_OVERLOADED`. */
  constructor(maxTasks: number) {
    this.#maxTasks = maxTasks
  }

  isBusy(key: string): boolean {
    return this.#waiting.has(key)
  }

  /** Throws if there are too many. */
  checkRoom(): void {
    if (this.#tasks >= this.#maxTasks)
      throw new AtollError('ATOLL_OVERLOADED', `${this.#maxTasks} writes are in progress already`)
  }

  async run<T>(key: string, task: () => Promise<T>): Promise<T> {
    this.checkRoom()
    this.#tasks += 1
    const line = this.#waiting.get(key)
    if (line === undefined) this.#waiting.set(key, [])
    else await new Promise<void>((resolve) => line.push(resolve))
    try {
      return await task()
    } finally {
      this.#tasks -= 1
      this.#handOn(key)
    }
  }

  /** The turn is handed over, not given up: whoever arrives in between goes behind. */
  #handOn(key: string): void {
    const next = this.#waiting.get(key)?.shift()
    if (next === undefined) this.#waiting.delete(key)
    else next()
  }
}
