import { isAtollError, type Runtime, SECOND_MS } from '@atoll/core'

export interface Patience {
  /** How long to go on after the first failure, in milliseconds; 0 to try once. Where disks are full, 1 s at most. */
  readonly patienceMs: number
  readonly signal?: AbortSignal | undefined
  /** Hears of every failure, also of those after which it goes on. */
  readonly onFailure?: (error: unknown) => void
}

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1000
/** The store has tried every disk by then, and they stay full until somebody makes room: whoever waits has to hear of it. */
const FULL_PATIENCE_MS = SECOND_MS

/**
 * Tries again what failed with a transient error, as long as there is patience: after pauses that are drawn evenly from
 * nothing to a ceiling that doubles (M. Brooker, "Exponential Backoff And Jitter", 2015). Throws what it failed with last.
 */
export async function persistently<T>(
  { clock, random, probe }: Pick<Runtime, 'clock' | 'random' | 'probe'>,
  task: () => Promise<T>,
  { patienceMs, signal, onFailure }: Patience,
): Promise<T> {
  let endMs = Number.POSITIVE_INFINITY
  let fullEndMs = Number.POSITIVE_INFINITY
  for (let ceilingMs = FIRST_PAUSE_MS; ; ceilingMs = Math.min(LONGEST_PAUSE_MS, 2 * ceilingMs)) {
    try {
      return await task()
    } catch (error) {
      onFailure?.(error)
      const nowMs = clock.monotonicMs()
      endMs = Math.min(endMs, nowMs + patienceMs)
      const isFull = isAtollError(error, 'ATOLL_DISK_FULL')
      fullEndMs = isFull ? Math.min(fullEndMs, nowMs + FULL_PATIENCE_MS) : Number.POSITIVE_INFINITY
      const pauseMs = 1 + random.below(ceilingMs)
      const isOver = nowMs + pauseMs > Math.min(endMs, fullEndMs)
      if (!isAtollError(error) || !error.transient || isOver || signal?.aborted) throw error
      probe.mark('objects.block.tried_again')
      try {
        await clock.sleep(pauseMs, { signal })
      } catch {
        throw error
      }
    }
  }
}
