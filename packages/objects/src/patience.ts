import { isAtollError, type Runtime } from '@atoll/core'

export interface Patience {
  /** How long to go on after the first failure, in milliseconds; 0 to try once. */
  readonly patienceMs: number
  readonly signal?: AbortSignal | undefined
  /** Hears of every failure, also of those after which it goes on. */
  readonly onFailure?: (error: unknown) => void
}

const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1000

/**
 * Tries again what failed with a transient error, as long as there is patience: after pauses that are drawn evenly from
 * nothing to a ceiling that doubles (M. Brooker, "Exponential Backoff And Jitter", 2015). Throws what it failed with last.
 */
export async function persistently<T>(
  { clock, random, probe }: Pick<Runtime, 'clock' | 'random' | 'probe'>,
  task: () => Promise<T>,
  { patienceMs, signal, onFailure }: Patience,
): Promise<T> {
  let endMs: number | undefined
  for (let ceilingMs = FIRST_PAUSE_MS; ; ceilingMs = Math.min(LONGEST_PAUSE_MS, 2 * ceilingMs)) {
    try {
      return await task()
    } catch (error) {
      onFailure?.(error)
      endMs ??= clock.monotonicMs() + patienceMs
      const pauseMs = 1 + random.below(ceilingMs)
      const isOver = clock.monotonicMs() + pauseMs > endMs
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
