import { parentPort, workerData } from 'node:worker_threads'
import { runSeed, type SeedReport } from '@atoll/sim'
import { BUGS, NO_BUG } from './bugs.ts'
import type { HouseOptions } from './options.ts'
import { BrokenPromises } from './promises.ts'
import { houseScenario } from './scenario.ts'
import type { WorkerOrder } from './worker-lane.ts'

const { bug, kinds }: WorkerOrder = workerData
const scenario = houseScenario(bug === undefined ? NO_BUG : BUGS[bug], kinds)

parentPort?.on('message', (seed: number) => {
  void runSeed(seed, scenario).then((report) => parentPort?.postMessage(portable(report)))
})

/** An error that crosses to another thread keeps its words and its stack; broken promises are told by their words alone. */
function portable(report: SeedReport<HouseOptions>): SeedReport<HouseOptions> {
  const { failure } = report
  if (!(failure?.error instanceof BrokenPromises)) return report
  return { ...report, failure: { ...failure, error: undefined } }
}
