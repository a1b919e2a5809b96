import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { SeedReport } from '@atoll/sim'
import type { Command } from './command.ts'
import type { Lane } from './lanes.ts'
import type { HouseOptions } from './options.ts'

/** What a worker is told when it begins. */
export type WorkerOrder = Pick<Command, 'bug' | 'kinds'>

/** A lane on a thread of its own. A run touches nothing outside its world, so that a seed is the same run on any thread. */
export function workerLane(order: WorkerOrder): Lane<HouseOptions> {
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: order })
  return {
    run: async (seed) => {
      worker.postMessage(seed)
      // Rejects if the thread ends by an error of its own.
      const [report]: SeedReport<HouseOptions>[] = await once(worker, 'message')
      if (report === undefined) throw new Error(`seed ${seed} was not answered`)
      return report
    },
    close: () => worker.terminate(),
  }
}
