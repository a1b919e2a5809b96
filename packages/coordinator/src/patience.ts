import { type AtollError, type AtollErrorCode, isAtollError } from '@atoll/core'
import type { CallOptions, Site } from './call.ts'
import { aborted } from './outcome.ts'
import type { Liveness } from './ports.ts'

/** How long a request goes on that failed for nodes which may be back in a moment, and how soon it looks again at first. */
const SECOND_THOUGHT_MS = 400
const SECOND_LOOK_MS = 20
/** The longest pause between two looks. */
const LONGEST_PAUSE_MS = 160
/** The same while one of the nodes is suspect: in less time than that it is back, or dead for all. */
const SUSPENSE_MS = 2000

export interface Attempts<T> {
  readonly attempt: (options: CallOptions) => Promise<T>
  /** Whether enough nodes seem reachable for another attempt to be worth it. */
  readonly isHopeful: () => boolean
  /** What may be tried again if it names nodes that were down or could not be reached. */
  readonly codes: readonly AtollErrorCode[]
}

/** Of what never changes anything, and of what has changed nothing yet. */
export const READ_AGAIN = ['ATOLL_QUORUM_IMPOSSIBLE', 'ATOLL_QUORUM_UNMET'] as const
export const WRITE_AGAIN = ['ATOLL_QUORUM_IMPOSSIBLE'] as const

/**
 * Gives a request that fails for want of nodes a moment: a node that stood still, or whose connections all broke, for
 * some milliseconds takes everybody else for dead. It looks whether they are back, and tries again after 20 ms, 40 ms
 * and so on, within 400 ms in all; within 2 s while one that it lacks is suspect, which says that nobody knows yet what
 * becomes of it: on a busy machine some hundred connections do not stand again in less. Throws what it failed with
 * last.
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
  const beganMs = clock.monotonicMs()
  let failure = error
  let pauseMs = SECOND_LOOK_MS
  for (;;) {
    await clock.sleep(pauseMs, { signal }).catch(() => {})
    if (signal?.aborted) throw aborted(signal, true)
    const leftMs = Math.floor(timeoutMs - (clock.monotonicMs() - startMs))
    if (leftMs < 1) throw failure
    if (attempts.isHopeful()) {
      probe.mark('coordinator.tried_again')
      pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)
      try {
        return await attempts.attempt({ timeoutMs: leftMs, signal })
      } catch (failed) {
        if (!isPassing(failed, attempts)) throw failed
        failure = failed
      }
    }
    const patienceMs = isOpen(failure, site.liveness) ? SUSPENSE_MS : SECOND_THOUGHT_MS
    if (clock.monotonicMs() - beganMs >= Math.min(timeoutMs / 2, patienceMs)) throw failure
  }
}

function isPassing(error: unknown, { codes }: Pick<Attempts<unknown>, 'codes'>): error is AtollError {
  if (!isAtollError(error) || !codes.includes(error.code)) return false
  return missingNodes(error).length > 0
}

function isOpen(failure: AtollError, liveness: Liveness): boolean {
  return missingNodes(failure).some((node) => liveness.statusOf(node) === 'suspect')
}

/** The nodes that a request failed for. */
function missingNodes({ details: { down, unreachable } }: AtollError): readonly string[] {
  return [down, unreachable].flat().filter((node) => typeof node === 'string')
}
