import type { Clock } from '@atoll/core'
import { createWorld, type SimRuntime } from '@atoll/sim'

export interface ManualRuntime extends SimRuntime {
  /** Moves both clocks on, as a pause does. */
  advance(ms: number): void
  readonly marks: ReadonlyMap<string, number>
}

const START_MS = 1_700_000_000_000

/** A seeded runtime whose clock stands still until it is moved. */
export function manualRuntime(seed = 1, startMs = START_MS): ManualRuntime {
  const world = createWorld({ seed })
  let nowMs = 0
  const unused = () => {
    throw new Error('the object layer sets no timers')
  }
  const clock: Clock = {
    monotonicMs: () => nowMs,
    wallMs: () => startMs + nowMs,
    timer: unused,
    sleep: async (ms) => {
      nowMs += ms
    },
  }
  return {
    ...world.runtime('n1'),
    clock,
    advance: (ms) => {
      nowMs += ms
    },
    marks: world.marks,
  }
}
