import { setImmediate } from 'node:timers'
import { isError, messageOf, type Timer } from '@atoll/core'
import { EventQueue, type Scheduler, type WorldEvent } from './event-queue.ts'
import type { RunLimits } from './options.ts'
import { guardRealTime } from './real-time.ts'
import type { Trace } from './trace.ts'
import { WorldError, type WorldFailure } from './world-error.ts'
import { stamp } from './world-log.ts'

const NO_LIMITS: Required<RunLimits> = { maxVirtualMs: 600_000, maxEvents: 10_000_000, realTime: 'refused' }

/** Virtual time: takes one event after the other, and lets all promises come to rest in between. */
export class EventLoop implements Scheduler {
  readonly #trace: Trace
  readonly #queue = new EventQueue()
  #nowMs = 0
  #scheduled = 0
  #executed = 0
  #wake: (() => void) | undefined

  constructor(trace: Trace) {
    this.#trace = trace
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** How many events have run. */
  get executed(): number {
    return this.#executed
  }

  schedule(delayMs: number, label: string, run: () => void): Timer {
    const event: WorldEvent = { atMs: this.#nowMs + delayMs, sequence: this.#scheduled++, label, run }
    this.#queue.push(event)
    this.#wake?.()
    return {
      cancel: () => {
        event.run = undefined
      },
    }
  }

  /** Runs `main` to its end. Events that are left then stay for the next run. */
  async run<T>(main: () => Promise<T>, limits: RunLimits): Promise<T> {
    const { maxVirtualMs, maxEvents, realTime } = { ...NO_LIMITS, ...limits }
    const [lastMs, lastEvent] = [this.#nowMs + maxVirtualMs, this.#executed + maxEvents]
    let outcome: { readonly value: T } | undefined
    let failure: Error | undefined
    const onUnhandled = (reason: unknown) => {
      failure ??= this.#fail('unhandled', `unhandled rejection: ${messageOf(reason)}`, reason)
    }
    const onRealTime = (used: string) => {
      const error = this.#fail(
        'real-time',
        `${used}; in a simulated world use the clock and the random of its runtime`,
      )
      failure ??= error
      return error
    }
    process.on('unhandledRejection', onUnhandled)
    const unguard = realTime === 'refused' ? guardRealTime(onRealTime) : () => {}
    try {
      main().then(
        (value) => {
          outcome = { value }
        },
        (error: unknown) => {
          failure ??= isError(error) ? error : new Error(messageOf(error), { cause: error })
        },
      )
      for (;;) {
        await promisesAtRest()
        if (failure !== undefined) throw failure
        if (outcome !== undefined) return outcome.value
        const event = this.#queue.pop()
        if (event === undefined) throw this.#fail('deadlock', 'deadlock: nothing is left to happen')
        if (event.atMs > lastMs) throw this.#fail('virtual-time', `not done after ${maxVirtualMs} ms`)
        if (this.#executed >= lastEvent) throw this.#fail('events', `not done after ${maxEvents} events`)
        this.#execute(event)
      }
    } finally {
      unguard()
      process.off('unhandledRejection', onUnhandled)
    }
  }

  /** Runs events as they come, as fast as they can, until `stopped` says so. */
  async pump(stopped: () => boolean): Promise<void> {
    for (;;) {
      await promisesAtRest()
      if (stopped()) return
      const event = this.#queue.pop()
      if (event !== undefined) this.#execute(event)
      else await this.#nextScheduled()
    }
  }

  /** Lets `pump` look again. */
  wake(): void {
    this.#wake?.()
  }

  #nextScheduled(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined
        resolve()
      }
    })
  }

  #execute(event: WorldEvent): void {
    this.#nowMs = event.atMs
    this.#executed += 1
    this.#trace.feed(`${event.atMs} ${event.sequence} ${event.label}`)
    try {
      event.run?.()
    } catch (error) {
      throw this.#fail('thrown', `event "${event.label}" threw: ${messageOf(error)}`, error)
    }
  }

  #fail(failure: WorldFailure, message: string, cause?: unknown): WorldError {
    const when = stamp(this.#nowMs).trim()
    return new WorldError(failure, `${message} (virtual time ${when}, ${this.#executed} events)`, {
      timeline: this.#trace.tail(),
      cause,
    })
  }
}

/** Everything that can go on without an event has done so when an immediate runs: microtasks and ticks come first. */
function promisesAtRest(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
