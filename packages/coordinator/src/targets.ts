import type { AtollError } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { activeList, countPrimaries, downPrimaries, type SliceView } from './preference.ts'

/** How many must seem reachable for a request to begin. */
export interface Needed {
  /** Whether fallbacks count. */
  readonly sloppy: boolean
  readonly least: number
  readonly primaries: number
  /** What to say of too few, and of the primaries that are down. */
  readonly refusal: (found: Found, down: readonly string[]) => AtollError
}

interface Found {
  readonly reachable: number
  readonly primaries: number
}

type Targets = readonly PreferenceEntry[]

/** Who to ask: all that seem reachable. Throws the refusal if they are too few. */
export function findTargets(view: SliceView, needed: Needed): Targets {
  const targets = activeList(view, needed.sloppy)
  if (suffice(targets, needed)) return targets
  const found = { reachable: targets.length, primaries: countPrimaries(targets) }
  throw needed.refusal(found, downPrimaries(view))
}

/** Whether enough nodes seem reachable now. */
export function areTargets(view: SliceView, needed: Needed): boolean {
  return suffice(activeList(view, needed.sloppy), needed)
}

function suffice(targets: Targets, { least, primaries }: Needed): boolean {
  return targets.length >= least && countPrimaries(targets) >= primaries
}
