import type { Timer } from '@atoll/core'

/** Something that will happen. `run` is undefined once it was cancelled. */
export interface WorldEvent {
  readonly atMs: number
  readonly sequence: number
  /** What it is, for the trace: equal in every run of the seed. */
  readonly label: string
  run: (() => void) | undefined
}

/** Where events of the future are put. */
export interface Scheduler {
  /** Milliseconds of virtual time since the world began, with fractions. */
  readonly nowMs: number
  /** Runs `run` once, `delayMs` from now, after everything that was scheduled for that time before. */
  schedule(delayMs: number, label: string, run: () => void): Timer
}

/** A binary heap ordered by (time, sequence). Cancelled events stay in it until their turn comes, and are passed over. */
export class EventQueue {
  readonly #heap: WorldEvent[] = []

  push(event: WorldEvent): void {
    const heap = this.#heap
    let at = heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || isBefore(parent, event)) break
      heap[at] = parent
      at = above
    }
    heap[at] = event
  }

  /** The next event that was not cancelled, taken out. */
  pop(): WorldEvent | undefined {
    for (;;) {
      const first = this.#take()
      if (first === undefined || first.run !== undefined) return first
    }
  }

  #take(): WorldEvent | undefined {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (last === undefined || last === first) return first
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      let child = heap[below]
      const right = heap[below + 1]
      if (child !== undefined && right !== undefined && isBefore(right, child)) {
        child = right
        below += 1
      }
      if (child === undefined || isBefore(last, child)) break
      heap[at] = child
      at = below
    }
    heap[at] = last
    return first
  }
}

function isBefore(a: WorldEvent, b: WorldEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence)
}
