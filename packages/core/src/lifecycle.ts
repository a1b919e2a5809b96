import { AtollError } from './errors.ts'

export type LifecycleState = 'new' | 'opening' | 'open' | 'closing' | 'closed'

/**
 * The one lifecycle: a constructor does nothing, `open` and `close` are idempotent and may be called at any time,
 * and `await using` closes. Calls take effect one after the other, so the last one called decides how it ends. A
 * closed component may be opened again. A failed open leaves it closed.
 */
export abstract class Lifecycle implements AsyncDisposable {
  #state: LifecycleState = 'new'
  /** Where the last call wants to go, and its promise. */
  #goal: 'open' | 'closed' = 'closed'
  #step: Promise<void> = Promise.resolve()

  /** What this is called in messages, for example "vnode host n1". */
  abstract readonly label: string

  protected abstract onOpen(): Promise<void>
  /** Must cope with a component that was opened only in part. */
  protected abstract onClose(): Promise<void>

  get state(): LifecycleState {
    return this.#state
  }

  /** Rejects with what `onOpen` rejects with. */
  open(): Promise<void> {
    if (this.#goal === 'closed') this.#towards('open')
    return this.#step
  }

  /** Rejects with what `onClose` rejects with; the component is closed all the same. */
  close(): Promise<void> {
    if (this.#goal === 'open') this.#towards('closed')
    return this.#step
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Throws `ATOLL_CLOSED` unless open. */
  protected assertOpen(): void {
    if (this.#state !== 'open')
      throw new AtollError('ATOLL_CLOSED', `${this.label} is ${this.#state}, not open`)
  }

  #towards(goal: 'open' | 'closed'): void {
    const before = this.#step.catch(() => {})
    const run = goal === 'open' ? () => this.#open() : () => this.#close()
    // At once, so that nothing is accepted any more in the moment until the step begins.
    if (this.#state === 'open') this.#state = 'closing'
    const step: Promise<void> = before.then(run).catch((error: unknown) => {
      if (this.#step === step) this.#rest()
      throw error
    })
    this.#goal = goal
    this.#step = step
  }

  /** After a failed step with none behind it: the component is closed, and there is nothing to wait for. */
  #rest(): void {
    this.#goal = 'closed'
    this.#step = Promise.resolve()
  }

  async #open(): Promise<void> {
    this.#state = 'opening'
    try {
      await this.onOpen()
      this.#state = 'open'
    } catch (error) {
      await this.#close().catch(() => {})
      throw error
    }
  }

  async #close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closing'
    try {
      await this.onClose()
    } finally {
      this.#state = 'closed'
    }
  }
}

/** Closes all of them, one after the other, whatever becomes of each; then throws what the first that failed has thrown. */
export async function closeInOrder(parts: readonly { close(): Promise<void> }[]): Promise<void> {
  const failures: unknown[] = []
  for (const part of parts) await part.close().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}
