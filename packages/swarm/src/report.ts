import { isError } from '@atoll/core'
import { describeFailure, type SwarmSummary } from '@atoll/sim'
import { BUGS } from './bugs.ts'
import { type Command, replayOf } from './command.ts'
import { commitOfSources } from './commit.ts'
import type { HouseOptions } from './options.ts'
import { BrokenPromises } from './promises.ts'

type Summary = SwarmSummary<HouseOptions>

/** The outcome of a swarm for machines. */
export function asJson(
  { runs, failures, events, virtualMs, marks }: Summary,
  command: Command,
  tookMs: number,
): string {
  const failed = failures.map(({ seed, options, failure, traceHash, timeline }) => {
    const replay = replayOf(seed, command)
    return { seed, options, message: failure?.message, traceHash, timeline, replay }
  })
  const commit = commitOfSources()
  return JSON.stringify(
    { commit, runs, events, virtualMs, tookMs, marks: Object.fromEntries(marks), failures: failed },
    null,
    2,
  )
}

/** The outcome of a swarm for people. */
export function inWords(
  { runs, failures, events, virtualMs, marks }: Summary,
  command: Command,
  tookMs: number,
): string {
  const { bug, from } = command
  const seeds = runs === 1 ? `seed ${from}` : `seeds ${from} to ${from + runs - 1}`
  const about = bug === undefined ? '' : ` with the bug ${bug} (${BUGS[bug]?.about})`
  const rate = `${((1000 * runs) / tookMs).toFixed(1)} seeds/s, ${Math.round(tookMs / runs)} ms each`
  const lines = [
    `${seeds}${about}: ${events} events, ${(virtualMs / 60_000).toFixed(1)} minutes of virtual time, ${rate}`,
    ...coverage(marks),
  ]
  const [failed] = failures
  if (failed === undefined) return [...lines, 'every promise was kept'].join('\n')
  const replay = `to see it again: ${replayOf(failed.seed, command)} (commit ${commitOfSources()})`
  return [...lines, '', describeFailure(failed), ...whence(failed.failure?.error), replay].join('\n')
}

/** Of an error that nobody expected: where it comes from. */
function whence(error: unknown): string[] {
  if (error instanceof BrokenPromises || !isError(error)) return []
  const cause = whence(error.cause).map((line) => `caused by ${line}`)
  return [error.stack ?? error.message, ...cause]
}

/** What the runs went through: a swarm that never gets somewhere proves nothing of it. */
function coverage(marks: ReadonlyMap<string, number>): string[] {
  return [...marks]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([mark, times]) => `${`${times}`.padStart(10)} × ${mark}`)
}
