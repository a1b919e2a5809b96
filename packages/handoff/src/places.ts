import { type Clock, ignoreAbort, listenToAbort } from '@atoll/core'

export interface PlacesParts {
  readonly clock: Clock
  /** Whether one more may be taken now. */
  readonly isFree: () => boolean
  /** Waiting at a time; one more is turned away at once. */
  readonly maxWaiting: number
}

export interface Patience {
  readonly longestMs: number
  readonly signal: AbortSignal
}

interface Waiting {
  /** Takes the place, in the same turn in which it is found to be free. */
  readonly take: () => void
}

/** Places may also become free without a word, when somebody was silent for too long. */
const LOOK_MS = 250

/** A limited number of places: whoever finds none waits in line, first come, first served. */
export class Places {
  readonly #parts: PlacesParts
  readonly #line = new Set<Waiting>()

  constructor(parts: PlacesParts) {
    this.#parts = parts
  }

  /** What `claim` answers once a place is free; undefined if none was in time, or too many wait. `claim` takes the place. */
  async take<T>(claim: () => T, { longestMs, signal }: Patience): Promise<T | undefined> {
    const { clock, isFree, maxWaiting } = this.#parts
    if (this.#line.size === 0 && isFree()) return claim()
    if (this.#line.size >= maxWaiting) return undefined
    const taken: T[] = []
    const over = new AbortController()
    const waiting: Waiting = {
      take: () => {
        taken.push(claim())
        over.abort()
      },
    }
    const onAbort = () => over.abort()
    listenToAbort(signal, onAbort)
    this.#line.add(waiting)
    try {
      const endMs = clock.monotonicMs() + longestMs
      while (!over.signal.aborted) {
        const leftMs = endMs - clock.monotonicMs()
        if (leftMs <= 0) break
        await clock.sleep(Math.min(leftMs, LOOK_MS), { signal: over.signal }).catch(() => {})
        this.look()
      }
    } finally {
      this.#line.delete(waiting)
      ignoreAbort(signal, onAbort)
    }
    return taken[0]
  }

  /** Gives what is free to those who wait. */
  look(): void {
    for (const waiting of this.#line) {
      if (!this.#parts.isFree()) return
      this.#line.delete(waiting)
      waiting.take()
    }
  }
}
