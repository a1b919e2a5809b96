import { AtollError } from './errors.ts'

export type LifecycleState = 'new' | 'opening' | 'open' | 'closing' | 'closed'

/**
 * The one lifecycle: a constructor does nothing, `open` and `close` are idempotent and may be called at any time,
 * and `await using` closes. A closed component may be opened again. A failed open leaves it closed.
 */
export abstract class Lifecycle implements AsyncDisposable {
  #state: LifecycleState = 'new'
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined

  /** What this is called in messages, for example "vnode host n1". */
  abstract readonly label: string

  protected abstract onOpen(): Promise<void>
  /** Must cope with a component that was opened only in part. */
  protected abstract onClose(): Promise<void>

  get state(): LifecycleState {
    return this.#state
  }

  open(): Promise<void> {
    if (this.#state === 'open') return Promise.resolve()
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  close(): Promise<void> {
    if (this.#state === 'new' || this.#state === 'closed') return Promise.resolve()
    this.#closing ??= this.#close().finally(() => {
      this.#closing = undefined
    })
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Throws `ATOLL_CLOSED` unless open. */
  protected assertOpen(): void {
    if (this.#state !== 'open')
      throw new AtollError('ATOLL_CLOSED', `${this.label} is ${this.#state}, not open`)
  }

  async #open(): Promise<void> {
    await this.#closing
    this.#state = 'opening'
    try {
      await this.onOpen()
      this.#state = 'open'
    } catch (error) {
      await this.onClose().catch(() => {})
      this.#state = 'closed'
      throw error
    }
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => {})
    if (this.state === 'closed') return
    this.#state = 'closing'
    try {
      await this.onClose()
    } finally {
      this.#state = 'closed'
    }
  }
}
