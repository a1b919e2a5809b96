import { isDiskFull } from './errors.ts'
import { RetryLoop } from './retry-loop.ts'
import type { Clock, Log } from './runtime.ts'
import { MiB } from './units.ts'

export interface ReopenerParts {
  readonly runtime: { readonly clock: Pick<Clock, 'timer'>; readonly log: Log }
  /** What is opened again, as messages call it. */
  readonly label: string
  /** Bytes that are free on its disk; undefined if nobody knows. */
  readonly freeBytes: () => Promise<number | undefined>
  /** False while there is nothing to try, which is asked again after each pause. Default true. */
  readonly isReady?: () => boolean
  /** Closes what is open, and opens it again. Called until it succeeds. */
  readonly reopen: () => Promise<void>
  /** Called when it takes writes again. */
  readonly onReopened: () => void
}

const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 10_000
/** On a full disk nothing is tried before there is as much room. LevelDB needs some to open. */
const ROOM_BYTES = 8 * MiB

/** Opens a database again after a failure that need not last, until that succeeds: nobody has to restart the program. */
export class Reopener<Failure = unknown> {
  readonly #parts: ReopenerParts
  readonly #loop: RetryLoop
  #failure: { readonly reason: Failure } | undefined
  #isStopped = false

  constructor(parts: ReopenerParts) {
    this.#parts = parts
    this.#loop = new RetryLoop(parts.runtime.clock, {
      attempt: () => this.#try(),
      firstDelayMs: FIRST_DELAY_MS,
      longestDelayMs: LONGEST_DELAY_MS,
    })
  }

  /** Why no writes are taken, while it is to be opened again. */
  get failure(): Failure | undefined {
    return this.#failure?.reason
  }

  failed(reason: Failure): void {
    if (this.#isStopped) return
    this.#failure = { reason }
    this.#loop.start()
  }

  /** Nothing is tried any more, and nothing is on its way. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#loop.stop()
    await this.#loop.ended()
    this.#failure = undefined
  }

  start(): void {
    this.#isStopped = false
  }

  async #try(): Promise<boolean> {
    const { runtime, label, freeBytes, isReady, reopen, onReopened } = this.#parts
    if (isReady?.() === false) return false
    const failure = this.#failure
    try {
      if (isDiskFull(failure?.reason) && ((await freeBytes()) ?? ROOM_BYTES) < ROOM_BYTES) return false
      await reopen()
      // What was just opened may have failed as well by now.
      if (this.#failure !== failure) return false
      this.#failure = undefined
      runtime.log.info({}, `${label} was opened again after a failure, and takes writes`)
      onReopened()
      return true
    } catch (error) {
      runtime.log.warn({ err: error }, `${label} cannot be opened again yet`)
      return false
    }
  }
}
