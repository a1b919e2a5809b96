import { availableParallelism } from 'node:os'
import { performance } from 'node:perf_hooks'
import { messageOf } from '@atoll/core'
import { runSeeds } from '@atoll/sim'
import { BUGS, NO_BUG } from './bugs.ts'
import { type Command, readCommand } from './command.ts'
import { runOnLanes } from './lanes.ts'
import { Progress, type Terminal } from './progress.ts'
import { asJson, inWords } from './report.ts'
import { houseScenario } from './scenario.ts'
import { workerLane } from './worker-lane.ts'

/** Fewer are not worth the start of a thread. */
const SEEDS_PER_LANE = 10

/** Where the words go, and by which clock, that of the machine by default. */
export interface Desk {
  readonly out: Terminal
  readonly err: Terminal
  readonly nowMs?: () => number
}

/** Runs the swarm that the arguments ask for. Answers the exit code: 0 if all was well, 1 if not, 2 for wrong arguments. */
export async function cli(args: readonly string[], desk: Desk): Promise<number> {
  const { out, err, nowMs = () => performance.now() } = desk
  let command: Command
  try {
    command = readCommand(args)
  } catch (error) {
    err.write(`${messageOf(error)}\n`)
    return 2
  }
  const { from, count, bug, kinds } = command
  const progress = new Progress(err, count, nowMs)
  const beganMs = nowMs()
  const range = { from, count, onProgress: (_: unknown, done: number) => progress.show(done) }
  const lanes = Math.min(availableParallelism(), Math.floor(count / SEEDS_PER_LANE))
  const summary =
    lanes < 2
      ? await runSeeds(houseScenario(bug === undefined ? NO_BUG : BUGS[bug], kinds), range)
      : await runOnLanes(
          Array.from({ length: lanes }, () => workerLane({ bug, kinds })),
          range,
        )
  progress.end()
  const tookMs = nowMs() - beganMs
  out.write(`${command.json ? asJson(summary, command, tookMs) : inWords(summary, command, tookMs)}\n`)
  return summary.failures.length === 0 ? 0 : 1
}
