import { createMetrics } from '@atoll/core'
import { nodeRuntime, type ValueLogRuntime } from '../src/index.ts'

/** Where the log looks for what to do when the test says so: `look` fires what is due, and lets it come to rest. */
export function handWound() {
  const real = nodeRuntime()
  let due: (() => void)[] = []
  const clock: ValueLogRuntime['clock'] = {
    ...real.clock,
    sleep: () => new Promise(setImmediate),
    timer: (delayMs, fire, options) => {
      // A timer without a delay is a turn of the event loop.
      if (options?.background !== true || delayMs === 0) return real.clock.timer(delayMs, fire, options)
      due.push(fire)
      const cancel = () => {
        due = due.filter((other) => other !== fire)
      }
      return { cancel }
    },
  }
  const look = async () => {
    const now = due
    due = []
    for (const fire of now) fire()
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
  }
  const runtime = { ...real, clock, metrics: createMetrics() }
  return { runtime, look }
}
