import { AtollError, ignoreAbort, isAtollError, listenToAbort, type Runtime } from '@atoll/core'
import type { Job } from './jobs.ts'
import type { HandoffOptions } from './options.ts'
import { Slots } from './slots.ts'

interface Run {
  readonly job: Job | undefined
  readonly abort: AbortController
  readonly promise: Promise<unknown>
}

interface RunOptions {
  readonly job: Job | undefined
  readonly signal: AbortSignal | undefined
}

type Work<T> = (signal: AbortSignal) => Promise<T>

/** What a node does on its own account, one of a name at a time, and so many at a time in all. */
export class Runs {
  readonly #runtime: Runtime
  readonly #options: Required<HandoffOptions>
  readonly #slots: Slots
  readonly #running = new Map<string, Run>()

  constructor(runtime: Runtime, options: Required<HandoffOptions>) {
    this.#runtime = runtime
    this.#options = options
    this.#slots = new Slots(options.maxOutgoing)
  }

  has(name: string): boolean {
    return this.#running.has(name)
  }

  jobs(): readonly Job[] {
    return [...this.#running.values()].flatMap(({ job }) => job ?? [])
  }

  /**
   * Does the work once there is a slot for it; without a job it needs none. Throws `ATOLL_OVERLOADED` if it is being
   * done.
   */
  async run<T>(name: string, { job, signal }: RunOptions, work: Work<T>): Promise<T> {
    if (this.#running.has(name)) throw new AtollError('ATOLL_OVERLOADED', `${name} is under way`)
    return this.#begin(name, { job, signal }, (running) =>
      job === undefined ? work(running) : this.#slots.run(() => observed(job, () => work(running)), running),
    )
  }

  /**
   * Does the work again and again until it succeeds, with growing pauses, in which the slot is another's. A second call of
   * a name joins the first. `atOnce` needs no slot.
   */
  async retry(
    name: string,
    options: RunOptions & { readonly job: Job; readonly atOnce: boolean },
    work: Work<void>,
  ): Promise<void> {
    const { job, atOnce } = options
    const existing = this.#running.get(name)
    if (existing !== undefined) return existing.promise.then(() => {})
    const once = (running: AbortSignal) => observed(job, () => work(running))
    return this.#begin(name, options, async (running) => {
      for (let failures = 0; ; failures++) {
        try {
          return await (atOnce ? once(running) : this.#slots.run(() => once(running), running))
        } catch (error) {
          running.throwIfAborted()
          if (!isAtollError(error) || error.code === 'ATOLL_CHANGE_REFUSED') throw error
        }
        job.phase = 'waiting'
        await this.#runtime.clock.sleep(this.#pauseMs(failures), { signal: running })
      }
    })
  }

  /** Exponential, with full jitter. */
  #pauseMs(failures: number): number {
    const { retryBaseMs, retryCapMs } = this.#options
    return 1 + this.#runtime.random.below(Math.min(retryCapMs, retryBaseMs * 2 ** Math.min(failures, 20)))
  }

  /** Aborts what runs under a name, and says whether anything did. */
  stop(name: string): boolean {
    const run = this.#running.get(name)
    run?.abort.abort(new AtollError('ATOLL_ABORTED', `${name} was stopped`))
    return run !== undefined
  }

  /** As `stop`; resolves when it has ended. */
  async end(name: string): Promise<void> {
    const promise = this.#running.get(name)?.promise
    this.stop(name)
    await promise?.catch(() => {})
  }

  async close(): Promise<void> {
    const runs = [...this.#running.values()]
    for (const { abort } of runs) abort.abort(new AtollError('ATOLL_CLOSED', 'the node closes'))
    await Promise.allSettled(runs.map(({ promise }) => promise))
  }

  #begin<T>(name: string, { job, signal }: RunOptions, work: Work<T>): Promise<T> {
    const abort = new AbortController()
    const onAbort = () =>
      abort.abort(new AtollError('ATOLL_ABORTED', `${name} was given up`, { cause: signal?.reason }))
    if (signal?.aborted) onAbort()
    listenToAbort(signal, onAbort)
    const promise = work(abort.signal).finally(() => {
      ignoreAbort(signal, onAbort)
      this.#running.delete(name)
    })
    this.#running.set(name, { job, abort, promise })
    return promise
  }
}

async function observed<T>(job: Job, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work()
    job.end()
    return result
  } catch (error) {
    job.failed(isAtollError(error) ? error.code : 'unexpected')
    throw error
  }
}
