import type { AtollError } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import type { CallOptions, Site } from './call.ts'
import { aborted } from './outcome.ts'
import { activeList, countPrimaries, type SliceView } from './preference.ts'

/** How many must seem reachable for a request to begin. */
export interface Needed {
  /** Whether fallbacks count. */
  readonly sloppy: boolean
  readonly least: number
  readonly primaries: number
  /** What to say of too few. */
  readonly refusal: (found: { readonly reachable: number; readonly primaries: number }) => AtollError
}

/** How long a request waits before it is called impossible, and how often it looks meanwhile. */
const SECOND_THOUGHT_MS = 400
const SECOND_LOOK_MS = 20

type Targets = readonly PreferenceEntry[]

/**
 * Who to ask: all that seem reachable. If these are too few they are given a moment: a node that stood still has lost its
 * connections, and for some milliseconds takes everybody else for dead. Throws the refusal if they are still too few then.
 */
export function findTargets(
  view: SliceView,
  needed: Needed,
  { site, options }: { readonly site: Site; readonly options: CallOptions },
): Targets | Promise<Targets> {
  const targets = activeList(view, needed.sloppy)
  if (suffice(targets, needed)) return targets
  return site.requests.run(() => secondThought(view, needed, { site, options }))
}

function suffice(targets: Targets, { least, primaries }: Needed): boolean {
  return targets.length >= least && countPrimaries(targets) >= primaries
}

async function secondThought(
  view: SliceView,
  needed: Needed,
  { site, options }: { readonly site: Site; readonly options: CallOptions },
): Promise<Targets> {
  const { clock } = site.runtime
  const { timeoutMs, signal } = options
  const endMs = clock.monotonicMs() + Math.min(timeoutMs / 2, SECOND_THOUGHT_MS)
  for (;;) {
    await clock.sleep(SECOND_LOOK_MS, { signal }).catch(() => {})
    if (signal?.aborted) throw aborted(signal, true)
    const targets = activeList(view, needed.sloppy)
    if (suffice(targets, needed)) return targets
    if (clock.monotonicMs() >= endMs)
      throw needed.refusal({ reachable: targets.length, primaries: countPrimaries(targets) })
  }
}
