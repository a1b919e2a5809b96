import { type AtollError, type ErrorCode, isAtollError } from '@atoll/core'
import type { CallOptions, Site } from './call.ts'
import { aborted } from './outcome.ts'

/** How long a request goes on that failed for nodes which may be back in a moment, and how soon it looks again at first. */
const SECOND_THOUGHT_MS = 400
const SECOND_LOOK_MS = 20

export interface Attempts<T> {
  readonly attempt: (options: CallOptions) => Promise<T>
  /** Whether enough nodes seem reachable for another attempt to be worth it. */
  readonly isHopeful: () => boolean
  /** What may be tried again if it names nodes that were down or could not be reached. */
  readonly codes: readonly ErrorCode[]
}

/** Of what never changes anything, and of what has changed nothing yet. */
export const READ_AGAIN = ['ATOLL_QUORUM_IMPOSSIBLE', 'ATOLL_QUORUM_UNMET'] as const
export const WRITE_AGAIN = ['ATOLL_QUORUM_IMPOSSIBLE'] as const

/**
 * Gives a request that fails for want of nodes a moment: a node that stood still, or whose connections all broke, for some
 * milliseconds takes everybody else for dead. It looks whether they are back, and tries again after 20 ms, 40 ms and so on,
 * within 400 ms in all. Throws what it failed with last.
 */
export async function patiently<T>(
  attempts: Attempts<T>,
  { site, options }: { readonly site: Site; readonly options: CallOptions },
): Promise<T> {
  const startMs = site.runtime.clock.monotonicMs()
  try {
    return await attempts.attempt(options)
  } catch (error) {
    if (!isPassing(error, attempts)) throw error
    return await site.requests.run(() => again(attempts, { site, options, startMs, error }))
  }
}

interface Failed {
  readonly site: Site
  readonly options: CallOptions
  readonly startMs: number
  readonly error: AtollError
}

async function again<T>(attempts: Attempts<T>, { site, options, startMs, error }: Failed): Promise<T> {
  const { clock, probe } = site.runtime
  const { timeoutMs, signal } = options
  const endMs = clock.monotonicMs() + Math.min(timeoutMs / 2, SECOND_THOUGHT_MS)
  let failure = error
  let pauseMs = SECOND_LOOK_MS
  for (;;) {
    await clock.sleep(pauseMs, { signal }).catch(() => {})
    if (signal?.aborted) throw aborted(signal, true)
    const leftMs = Math.floor(timeoutMs - (clock.monotonicMs() - startMs))
    if (leftMs < 1) throw failure
    if (attempts.isHopeful()) {
      probe.mark('coordinator.tried_again')
      pauseMs *= 2
      try {
        return await attempts.attempt({ timeoutMs: leftMs, signal })
      } catch (failed) {
        if (!isPassing(failed, attempts)) throw failed
        failure = failed
      }
    }
    if (clock.monotonicMs() >= endMs) throw failure
  }
}

function isPassing(error: unknown, { codes }: Pick<Attempts<unknown>, 'codes'>): error is AtollError {
  if (!isAtollError(error) || !codes.includes(error.code)) return false
  const { down, unreachable } = error.details
  return [down, unreachable].some((nodes) => Array.isArray(nodes) && nodes.length > 0)
}
