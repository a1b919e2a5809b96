import { type AtollError, isDiskFull, MiB, type Timer } from '@atoll/core'
import type { Files, ValueLogRuntime } from './ports.ts'

export interface ReopenerParts {
  readonly runtime: Pick<ValueLogRuntime, 'clock' | 'log' | 'metrics'>
  readonly files: Files
  /** Closes what is open, and opens it again. Called until it succeeds. */
  readonly reopen: () => Promise<void>
}

const FIRST_DELAY_MS = 250
const LONGEST_DELAY_MS = 10_000
/** On a full disk nothing is tried before there is as much room. LevelDB needs some to open. */
const ROOM_BYTES = 8 * MiB

/** Opens a log again after a failure that need not last, until that succeeds: nobody has to restart the program. */
export class Reopener {
  readonly #parts: ReopenerParts
  #failure: AtollError | undefined
  #timer: Timer | undefined
  #attempt: Promise<void> = Promise.resolve()
  #delayMs = FIRST_DELAY_MS
  #isStopped = false

  constructor(parts: ReopenerParts) {
    this.#parts = parts
  }

  /** Why the log takes no writes, while it is to be opened again. */
  get failure(): AtollError | undefined {
    return this.#failure
  }

  failed(failure: AtollError): void {
    if (this.#isStopped) return
    const isUnderWay = this.#failure !== undefined
    this.#failure = failure
    if (isUnderWay) return
    this.#delayMs = FIRST_DELAY_MS
    this.#wait()
  }

  /** Nothing is tried any more, and nothing is on its way. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#timer?.cancel()
    await this.#attempt
    this.#failure = undefined
  }

  start(): void {
    this.#isStopped = false
  }

  #wait(): void {
    const attempt = () => {
      this.#attempt = this.#try()
    }
    this.#timer = this.#parts.runtime.clock.timer(this.#delayMs, attempt, { background: true })
    this.#delayMs = Math.min(LONGEST_DELAY_MS, 2 * this.#delayMs)
  }

  async #try(): Promise<void> {
    const { runtime, files, reopen } = this.#parts
    const failure = this.#failure
    try {
      if (isDiskFull(failure) && (await files.freeBytes()) < ROOM_BYTES) return this.#again()
      await reopen()
      // What was just opened may have failed as well by now.
      if (this.#failure !== failure) return this.#again()
      this.#failure = undefined
      runtime.metrics.count('atoll_value_log_reopened_total')
      runtime.log.info({}, `${files.label} was opened again after a failure, and takes writes`)
    } catch (error) {
      runtime.log.warn({ err: error }, `${files.label} cannot be opened again yet`)
      this.#again()
    }
  }

  #again(): void {
    if (!this.#isStopped) this.#wait()
  }
}
