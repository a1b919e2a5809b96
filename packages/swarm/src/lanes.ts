import type { SeedReport, SwarmSummary } from '@atoll/sim'

/** Somebody who runs one seed after the other. */
export interface Lane<T extends object> {
  readonly run: (seed: number) => Promise<SeedReport<T>>
  readonly close: () => Promise<unknown>
}

export interface LanesRange<T extends object> {
  readonly from: number
  readonly count: number
  /** Called after every seed, in the order in which they end. */
  readonly onProgress: (report: SeedReport<T>, done: number) => void
}

/**
 * Runs seeds on several lanes, each the next one as soon as it is free. No seed is begun after one has failed; those
 * under way are finished, and failures are told in the order of their seeds.
 */
export async function runOnLanes<T extends object>(
  lanes: readonly Lane<T>[],
  { from, count, onProgress }: LanesRange<T>,
): Promise<SwarmSummary<T>> {
  const marks = new Map<string, number>()
  const failures: SeedReport<T>[] = []
  let [next, runs, events, virtualMs] = [from, 0, 0, 0]
  const goOn = async ({ run }: Lane<T>) => {
    while (next < from + count && failures.length === 0) {
      const report = await run(next++)
      runs += 1
      events += report.events
      virtualMs += report.virtualMs
      for (const [mark, times] of report.marks) marks.set(mark, (marks.get(mark) ?? 0) + times)
      if (report.failure !== undefined) failures.push(report)
      onProgress(report, runs)
    }
  }
  try {
    await Promise.all(lanes.map(goOn))
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()))
  }
  return { runs, failures: failures.sort((a, b) => a.seed - b.seed), events, virtualMs, marks }
}
