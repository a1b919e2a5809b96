import { AtollError, ignoreAbort, isAtollError, listenToAbort, type Runtime } from '@atoll/core'
import type { Job } from './jobs.ts'
import type { HandoffOptions } from './options.ts'
import { Slots } from './slots.ts'

interface Run {
  readonly job: Job | undefined
  readonly aim: string | undefined
  readonly abort: AbortController
  readonly promise: Promise<unknown>
}

interface RunOptions {
  readonly job: Job | undefined
  readonly signal: AbortSignal | undefined
}

interface RetryOptions extends RunOptions {
  readonly job: Job
  /** What it shall come to, such as "to n2"; who wants another thing does not join it. */
  readonly aim: string
  /** Whether it needs no slot. */
  readonly atOnce: boolean
}

type Work<T> = (signal: AbortSignal) => Promise<T>

/** What a node does on its own account, one of a name at a time, and so many at a time in all. */
export class Runs {
  readonly #runtime: Runtime
  readonly #options: Required<HandoffOptions>
  readonly #slots: Slots
  readonly #running = new Map<string, Run>()
  #isClosed = false

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
   * done, `ATOLL_CLOSED`.
   */
  async run<T>(name: string, { job, signal }: RunOptions, work: Work<T>): Promise<T> {
    if (this.#running.has(name)) throw new AtollError('ATOLL_OVERLOADED', `${name} is under way`)
    return this.#begin(name, { job, signal }, (running) =>
      job === undefined ? work(running) : this.#slots.run(() => observed(job, () => work(running)), running),
    )
  }

  /**
   * Does the work again and again until it succeeds, with growing pauses, in which the slot is another's. A second call of
   * a name joins the first, which goes on if the second one is aborted. Throws `ATOLL_CHANGE_REFUSED`, transient, if what
   * is being done under that name has another aim, `ATOLL_ABORTED`, `ATOLL_CLOSED`.
   */
  async retry(name: string, options: RetryOptions, work: Work<void>): Promise<void> {
    const { job, aim, signal, atOnce } = options
    const existing = this.#running.get(name)
    if (existing !== undefined) {
      if (existing.aim !== aim) throw otherAim(name, existing)
      return unlessAborted(existing.promise, { name, signal })
    }
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

  /** Resolves when all have ended; none begins any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    const runs = [...this.#running.values()]
    for (const { abort } of runs) abort.abort(closed())
    await Promise.allSettled(runs.map(({ promise }) => promise))
  }

  #begin<T>(
    name: string,
    { job, aim, signal }: RunOptions & Partial<Pick<RetryOptions, 'aim'>>,
    work: Work<T>,
  ): Promise<T> {
    if (this.#isClosed) throw closed()
    const abort = new AbortController()
    const onAbort = () => abort.abort(givenUp(name, signal))
    if (signal?.aborted) onAbort()
    listenToAbort(signal, onAbort)
    const promise = work(abort.signal).finally(() => {
      ignoreAbort(signal, onAbort)
      this.#running.delete(name)
    })
    this.#running.set(name, { job, aim, abort, promise })
    return promise
  }
}

/** Settles as a run does, or rejects as soon as the signal is aborted of somebody whose run it is not. */
async function unlessAborted(
  promise: Promise<unknown>,
  { name, signal }: { readonly name: string; readonly signal: AbortSignal | undefined },
): Promise<void> {
  if (signal?.aborted) throw givenUp(name, signal)
  let onAbort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(givenUp(name, signal))
    listenToAbort(signal, onAbort)
  })
  try {
    await Promise.race([promise, aborted])
  } finally {
    ignoreAbort(signal, onAbort)
  }
}

function givenUp(name: string, signal: AbortSignal | undefined): AtollError {
  return new AtollError('ATOLL_ABORTED', `${name} was given up`, { cause: signal?.reason })
}

function closed(): AtollError {
  return new AtollError('ATOLL_CLOSED', 'the node closes')
}

function otherAim(name: string, { aim = 'it is being ended' }: Run): AtollError {
  return new AtollError('ATOLL_CHANGE_REFUSED', `${name} is under way: ${aim}`, { transient: true })
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
