import { checkInteger, createMetrics, type MetricsRegistry, type Runtime, type Timer } from '@atoll/core'
import { inlineDigests } from './digests.ts'
import { SimDisk } from './disk.ts'
import { EventLoop } from './event-loop.ts'
import type { Scheduler } from './event-queue.ts'
import { fragileLog, fragileMetrics } from './fragile-ports.ts'
import { Machine } from './machine.ts'
import { MachineClock } from './machine-clock.ts'
import {
  type DiskOptions,
  type RunLimits,
  validateDiskOptions,
  validateWorldOptions,
  type WorldOptions,
} from './options.ts'
import { Prng } from './prng.ts'
import { Trace } from './trace.ts'
import { stamp, worldLog } from './world-log.ts'

/** A runtime of a simulated machine, with its numbers open to tests. */
export interface SimRuntime extends Runtime {
  readonly metrics: MetricsRegistry
}

/**
 * A world in which everything comes from one seed: time, chance, disks. The same seed and the same program give the same
 * trace.
 *
 * @throws TypeError, RangeError for invalid options.
 */
export function createWorld(options: WorldOptions): World {
  return new World(validateWorldOptions(options))
}

export class World implements Scheduler {
  readonly seed: number | string
  /** Draws for the test itself: `world.prng.fork('workload')`. */
  readonly prng: Prng
  readonly #options: Required<WorldOptions>
  readonly #trace: Trace
  readonly #loop: EventLoop
  readonly #machines = new Map<string, Machine>()
  readonly #clocks = new Map<string, MachineClock>()
  readonly #runtimes = new Map<string, SimRuntime>()
  readonly #disks = new Map<string, SimDisk>()
  readonly #marks = new Map<string, number>()
  /** Of 1000 uses of the log and the metrics of a machine, how many throw. */
  readonly #fragile = new Map<string, number>()
  #lapsedMs = 0

  /** Use `createWorld`, which checks the options. */
  constructor(options: Required<WorldOptions>) {
    this.seed = options.seed
    this.prng = new Prng(`${options.seed}`)
    this.#options = options
    this.#trace = new Trace(options.timelineLines)
    this.#loop = new EventLoop(this.#trace)
  }

  get nowMs(): number {
    return this.#loop.nowMs
  }

  /** How many events have run. */
  get events(): number {
    return this.#loop.executed
  }

  /** How often each probe was passed, on all machines together. */
  get marks(): ReadonlyMap<string, number> {
    return this.#marks
  }

  schedule(delayMs: number, label: string, run: () => void): Timer {
    return this.#loop.schedule(delayMs, label, run)
  }

  /** The world as one machine sees it. The same object for the same name. */
  runtime(name: string): SimRuntime {
    return remembered(this.#runtimes, name, () => {
      const chance = this.prng.fork(`ports of ${name}`)
      const mayThrow = () => {
        const permille = this.#fragile.get(name) ?? 0
        if (permille > 0 && chance.chance(permille)) throw new Error(`a port of ${name} throws`)
      }
      return {
        clock: this.clockOf(name),
        random: this.prng.fork(`random of ${name}`),
        digest: inlineDigests,
        log: fragileLog(
          worldLog(name, this.#trace, () => this.nowMs),
          mayThrow,
        ),
        metrics: fragileMetrics(createMetrics(), mayThrow),
        probe: { mark: (mark) => void this.#marks.set(mark, (this.#marks.get(mark) ?? 0) + 1) },
      }
    })
  }

  /** The clock of a machine, which can be made to drift, jump and be wrong. */
  clockOf(name: string): MachineClock {
    const { startWallMs, timerSlackMs } = this.#options
    return remembered(this.#clocks, name, () => {
      const prng = this.prng.fork(`clock of ${name}`)
      const options = { name, startWallMs: startWallMs + this.#lapsedMs, timerSlackMs }
      return new MachineClock(this.#machine(name), prng, options)
    })
  }

  /** Stops a machine as `SIGSTOP` does: no timer fires and no disk answers there until `thaw`, and clocks go on. */
  freeze(name: string): void {
    this.#machine(name).freeze()
  }

  /** Stops a machine as when it is suspended: as `freeze`, and its monotonic clock stands. */
  suspend(name: string): void {
    this.freeze(name)
    this.clockOf(name).stand()
  }

  /** Lets a machine go on that was frozen or suspended. */
  thaw(name: string): void {
    this.clockOf(name).go()
    this.#machine(name).thaw()
  }

  isFrozen(name: string): boolean {
    return this.#machines.get(name)?.isFrozen === true
  }

  /** `ms` go by on all wall clocks at once, as while every machine is suspended. */
  lapse(ms: number): void {
    this.#lapsedMs += ms
    for (const clock of this.#clocks.values()) clock.lapse(ms)
    this.note(`${ms} ms go by`)
  }

  /** From now on `permille` of 1000 uses of the log and the metrics of a machine throw. 0 mends them. */
  breakPorts(name: string, permille: number): void {
    this.#fragile.set(name, checkInteger('permille', permille, { min: 0, max: 1000 }))
  }

  /** The disk of a machine. The same object for the same name; `options` count when it is first named. */
  disk(name: string, options: DiskOptions = {}): SimDisk {
    return remembered(this.#disks, name, () => {
      const collaborators = { scheduler: this.#machine(name), prng: this.prng.fork(`disk of ${name}`) }
      const note = (text: string) => this.note(`${name} disk: ${text}`)
      return new SimDisk({ name, note }, collaborators, validateDiskOptions(options, this.#options.disk))
    })
  }

  /** Adds a line to the trace and the timeline. */
  note(text: string): void {
    this.#trace.note(`${stamp(this.nowMs)} ${text}`)
  }

  /**
   * Runs `main` to its end in virtual time. Rejects with what it rejects with, or with a `WorldError` if nothing is left
   * to happen while it still waits, if a limit is passed, if an event throws, or if a rejection is handled by nobody.
   */
  run<T>(main: () => Promise<T>, limits: RunLimits = {}): Promise<T> {
    return this.#loop.run(main, limits)
  }

  /**
   * Lets events happen by themselves, as fast as they can, for suites that know nothing of the world. `stop` resolves
   * when none is running any more.
   */
  drive(): Drive {
    let stopped = false
    const pumping = this.#loop.pump(() => stopped)
    return {
      stop: () => {
        stopped = true
        this.#loop.wake()
        return pumping
      },
    }
  }

  /** A hash of everything that has happened: equal in every run of the seed. */
  traceHash(): string {
    return this.#trace.hash()
  }

  /** The last notes in words, the newest last. */
  timeline(): readonly string[] {
    return this.#trace.tail()
  }

  #machine(name: string): Machine {
    return remembered(this.#machines, name, () => new Machine(this))
  }
}

export interface Drive {
  stop(): Promise<void>
}

function remembered<T>(known: Map<string, T>, name: string, create: () => T): T {
  const value = known.get(name) ?? create()
  known.set(name, value)
  return value
}
