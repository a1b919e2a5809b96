import { checkInteger, messageOf } from '@atoll/core'
import { type Draws, drawOptions } from './draw-options.ts'
import type { RunLimits, WorldOptions } from './options.ts'
import { createWorld, type World } from './world.ts'
import { WorldError } from './world-error.ts'

/** What is run under every seed. */
export interface Scenario<T extends object> {
  /** How the options of a seed are drawn. */
  readonly draws: Draws<T>
  /** What is drawn another way where these options were drawn; nothing by default. */
  readonly instead?: (drawn: T) => Partial<Draws<T>>
  /** Rejects if something is wrong. */
  readonly run: (world: World, options: T) => Promise<void>
  /** What the world of these options is like. */
  readonly world?: (options: T) => Omit<WorldOptions, 'seed'>
  readonly limits?: RunLimits
}

export interface SeedReport<T extends object> {
  readonly seed: number
  readonly options: T
  /** Undefined if all was well. */
  readonly failure: { readonly message: string; readonly error: unknown } | undefined
  readonly traceHash: string
  readonly virtualMs: number
  readonly events: number
  readonly marks: ReadonlyMap<string, number>
  /** The last notes; empty if all was well. */
  readonly timeline: readonly string[]
}

export interface SeedRange<T extends object> {
  /** The first seed. */
  readonly from: number
  readonly count: number
  /** Ends the swarm after so many failures. Default 1. */
  readonly maxFailures?: number
  /** Called after every seed. */
  readonly onProgress?: (report: SeedReport<T>, done: number) => void
}

export interface SwarmSummary<T extends object> {
  /** How many seeds were run. */
  readonly runs: number
  readonly failures: readonly SeedReport<T>[]
  readonly events: number
  readonly virtualMs: number
  /** How often each probe was passed in all runs. */
  readonly marks: ReadonlyMap<string, number>
}

/** Runs the scenario in a world of its own. Never rejects: what went wrong is in the report. */
export async function runSeed<T extends object>(seed: number, scenario: Scenario<T>): Promise<SeedReport<T>> {
  const options = drawOptions(seed, scenario.draws, scenario.instead)
  const world = createWorld({ ...scenario.world?.(options), seed })
  let failure: SeedReport<T>['failure']
  try {
    await world.run(() => scenario.run(world, options), scenario.limits)
  } catch (error) {
    failure = { message: error instanceof WorldError ? error.summary : messageOf(error), error }
  }
  return {
    seed,
    options,
    failure,
    traceHash: world.traceHash(),
    virtualMs: world.nowMs,
    events: world.events,
    marks: world.marks,
    timeline: failure === undefined ? [] : world.timeline(),
  }
}

/** Runs the scenario under one seed after the other. */
export async function runSeeds<T extends object>(
  scenario: Scenario<T>,
  range: SeedRange<T>,
): Promise<SwarmSummary<T>> {
  const { from, count, maxFailures = 1, onProgress } = range
  checkInteger('from', from, { min: 0, max: Number.MAX_SAFE_INTEGER })
  checkInteger('count', count, { min: 1, max: 1e9 })
  const failures: SeedReport<T>[] = []
  const marks = new Map<string, number>()
  let [runs, events, virtualMs] = [0, 0, 0]
  while (runs < count && failures.length < maxFailures) {
    const report = await runSeed(from + runs, scenario)
    runs += 1
    events += report.events
    virtualMs += report.virtualMs
    for (const [mark, times] of report.marks) marks.set(mark, (marks.get(mark) ?? 0) + times)
    if (report.failure !== undefined) failures.push(report)
    onProgress?.(report, runs)
  }
  return { runs, failures, events, virtualMs, marks }
}

/** A failed run in words: how to run it again, what it was, how it went. */
export function describeFailure(report: SeedReport<object>): string {
  const { seed, options, failure, timeline, virtualMs, events, traceHash } = report
  return [
    `seed ${seed} failed after ${virtualMs.toFixed(3)} ms of virtual time and ${events} events (trace ${traceHash})`,
    `options ${JSON.stringify(options)}`,
    failure?.message ?? 'all was well',
    'the last that happened:',
    ...timeline.map((line) => `  ${line}`),
  ].join('\n')
}
