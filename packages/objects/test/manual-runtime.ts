import type { Clock } from '@atoll/core'
import { createWorld, type SimRuntime } from '@atoll/sim'

export interface ManualRuntime extends SimRuntime {
  /** Moves both clocks on, as a pause does. */
  advance(ms: number): void
  readonly marks: ReadonlyMap<string, number>
}

const START_MS = 1_700_000_000_000

/** A seeded runtime whose clock stands still until it is moved; what is due by then runs at once. */
export function manualRuntime(seed = 1, startMs = START_MS): ManualRuntime {
  const world = createWorld({ seed })
  let nowMs = 0
  const timers = new Map<object, { readonly dueMs: number; readonly run: () => void }>()
  const clock: Clock = {
    monotonicMs: () => nowMs,
    wallMs: () => startMs + nowMs,
    timer: (delayMs, run) => {
      const timer = { cancel: () => void timers.delete(timer) }
      timers.set(timer, { dueMs: nowMs + delayMs, run })
      return timer
    },
    sleep: async (ms) => {
      nowMs += ms
    },
  }
  return {
    ...world.runtime('n1'),
    clock,
    advance: (ms) => {
      nowMs += ms
      for (const [timer, { dueMs, run }] of [...timers]) {
        if (dueMs <= nowMs && timers.delete(timer)) run()
      }
    },
    marks: world.marks,
  }
}
