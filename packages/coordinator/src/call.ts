import { ignoreAbort, listenToAbort, type Runtime, type Timer } from '@atoll/core'
import type { HintNotes } from './hint-notes.ts'
import type { InFlight } from './in-flight.ts'
import { type CoordinatorSettings, checkTimeout } from './options.ts'
import { aborted } from './outcome.ts'
import type { Liveness, Replicas } from './ports.ts'
import type { Repairs } from './repairs.ts'

/** What all calls of a coordinator share. */
export interface Site {
  readonly runtime: Runtime
  readonly replicas: Replicas
  readonly liveness: Liveness
  readonly settings: CoordinatorSettings
  readonly requests: InFlight
  readonly repairs: Repairs
  readonly hints: HintNotes
}

export interface CallOptions {
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** What a request says of how long it may take, or else the default. Throws `RangeError` for a time that is none. */
export function callOptionsOf(
  { timeoutMs, signal }: Partial<CallOptions>,
  settings: Pick<CoordinatorSettings, 'timeoutMs'>,
): CallOptions {
  return { timeoutMs: timeoutMs === undefined ? settings.timeoutMs : checkTimeout(timeoutMs), signal }
}

const ignore = () => {}

/**
 * The shell around a machine: one promise for the caller, one timer, the caller's signal, and a count of the replicas
 * that still owe an answer. The caller is answered once; the call is over when the last replica has answered too.
 */
export abstract class Call<T> {
  readonly answer: Promise<T>
  protected readonly site: Site
  protected readonly options: CallOptions
  #resolve: (value: T) => void = ignore
  #reject: (error: unknown) => void = ignore
  #timer: Timer | undefined
  #leftMs: number
  #onAbort: (() => void) | undefined
  #asked: AbortController[] | undefined
  #owed = 0
  #answered = false

  constructor(site: Site, options: CallOptions) {
    this.site = site
    this.options = options
    this.#leftMs = options.timeoutMs
    this.answer = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  /** Asks the first replicas. Called once. */
  run(): Promise<T> {
    const { signal } = this.options
    this.site.requests.enter()
    if (signal?.aborted) {
      this.reject(aborted(signal, true))
      return this.answer
    }
    this.#watch()
    if (signal !== undefined) {
      this.#onAbort = () => {
        this.onAbort(signal)
        for (const asked of this.#asked ?? []) asked.abort(signal.reason)
      }
      listenToAbort(signal, this.#onAbort)
    }
    try {
      this.begin()
    } catch (error) {
      this.reject(error)
    }
    return this.answer
  }

  protected abstract begin(): void
  /** After how long replicas that have not answered are silent. Only a call that can do without them says so. */
  protected get patienceMs(): number {
    return Number.POSITIVE_INFINITY
  }
  /** Each time that patience is over. */
  protected onSilence(): void {}
  /** When all have answered; the call is over when that is done. Never rejects. */
  protected onOver(): Promise<void> | undefined {
    return undefined
  }
  /** Must answer the caller. */
  protected abstract onTimeout(): void
  /** Must answer the caller. */
  protected abstract onAbort(signal: AbortSignal): void

  protected get answered(): boolean {
    return this.#answered
  }

  protected resolve(value: T): void {
    if (this.#answered) return
    this.#resolve(value)
    this.#end()
  }

  protected reject(error: unknown): void {
    if (this.#answered) return
    this.#reject(error)
    this.#end()
  }

  /**
   * The options with a signal for one of those that are asked, aborted with the caller's. Each has its own: Node takes
   * more than ten listeners on one signal for a leak, and says so on the console.
   */
  protected optionsForOne(options: CallOptions = this.options): CallOptions {
    if (options.signal === undefined) return options
    const controller = new AbortController()
    this.#asked ??= []
    this.#asked.push(controller)
    return { timeoutMs: options.timeoutMs, signal: controller.signal }
  }

  /** Before a replica is asked. */
  protected asking(): void {
    this.#owed += 1
  }

  /** After the answer of a replica was dealt with. */
  protected heard(): void {
    this.#owed -= 1
    if (this.#answered && this.#owed === 0) this.#leave()
  }

  #leave(): void {
    const over = this.onOver()
    if (over === undefined) this.site.requests.leave()
    else void over.then(() => this.site.requests.leave())
  }

  /** One timer, for patience first and then for the end. */
  #watch(): void {
    const { clock } = this.site.runtime
    const { patienceMs } = this
    if (patienceMs >= this.#leftMs) {
      this.#timer = clock.timer(this.#leftMs, () => this.onTimeout())
      return
    }
    this.#timer = clock.timer(patienceMs, () => {
      this.#leftMs -= patienceMs
      this.onSilence()
      if (!this.#answered) this.#watch()
    })
  }

  #end(): void {
    this.#answered = true
    this.#timer?.cancel()
    if (this.#onAbort !== undefined) ignoreAbort(this.options.signal, this.#onAbort)
    if (this.#owed === 0) this.#leave()
  }
}
