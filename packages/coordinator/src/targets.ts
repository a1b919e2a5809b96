import type { AtollError } from '@atoll/core'
import type { PreferenceEntry } from '@atoll/ring'
import { activeList, countPrimaries, downPrimaries, type SliceView } from './preference.ts'

/** How many must seem reachable for a request to begin. */
export interface Needed extends Least {
  /** Whether fallbacks count. */
  readonly sloppy: boolean
  /** While n goes up: what it takes besides, without the replica that is being filled. */
  readonly others?: (Least & { readonly without: string }) | undefined
}

interface Least {
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
  const refusal = refusalOf(targets, needed)
  if (refusal === undefined) return targets
  throw refusal(downPrimaries(view))
}

/** Whether enough nodes seem reachable now. */
export function areTargets(view: SliceView, needed: Needed): boolean {
  return refusalOf(activeList(view, needed.sloppy), needed) === undefined
}

function refusalOf(targets: Targets, needed: Needed): ((down: readonly string[]) => AtollError) | undefined {
  const { others } = needed
  const refusal = refusalByOne(targets, needed)
  if (refusal !== undefined || others === undefined) return refusal
  return refusalByOne(
    targets.filter(({ node }) => node !== others.without),
    others,
  )
}

function refusalByOne(
  targets: Targets,
  { least, primaries, refusal }: Least,
): ((down: readonly string[]) => AtollError) | undefined {
  const found = { reachable: targets.length, primaries: countPrimaries(targets) }
  if (found.reachable >= least && found.primaries >= primaries) return undefined
  return (down) => refusal(found, down)
}
