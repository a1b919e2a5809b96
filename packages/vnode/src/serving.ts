import { AtollError } from '@atoll/core'

/** Whether a host serves requests: not while something is done to all of its vnodes, which waits for what is under way. */
export class Serving {
  #underWay = 0
  #isPaused = false
  #pausing: Promise<void> | undefined
  #onIdle: (() => void) | undefined

  /** Throws `ATOLL_UNREACHABLE` while nothing is served. */
  assert(): void {
    if (this.#isPaused) throw new AtollError('ATOLL_UNREACHABLE', 'the node files its records anew')
  }

  async run<T>(serve: () => Promise<T>): Promise<T> {
    this.enter()
    try {
      return await serve()
    } finally {
      this.leave()
    }
  }

  /** As `assert`; a request that has entered leaves. */
  enter(): void {
    this.assert()
    this.#underWay += 1
  }

  leave(): void {
    this.#underWay -= 1
    if (this.#underWay === 0) this.#onIdle?.()
  }

  /** Serves nothing until the task has succeeded. A second call joins the first; after a failure one tries again. */
  pause(task: () => Promise<void>): Promise<void> {
    this.#isPaused = true
    this.#pausing ??= this.#pause(task).finally(() => {
      this.#pausing = undefined
    })
    return this.#pausing
  }

  /** Resolves when no task is under way any more. */
  async ended(): Promise<void> {
    await this.#pausing?.catch(() => {})
  }

  resume(): void {
    this.#isPaused = false
  }

  async #pause(task: () => Promise<void>): Promise<void> {
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve
      })
    }
    this.#onIdle = undefined
    await task()
    this.#isPaused = false
  }
}
