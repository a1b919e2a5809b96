import type { Placement, PreferenceEntry } from '@atoll/ring'
import type { Latency } from './latency.ts'

/** A slice of the ring as it is seen now. */
export interface SliceView {
  readonly placement: Placement
  readonly slice: number
  readonly n: number
  readonly isUp: (node: string) => boolean
}

/** What a request has learned of the nodes that it asked. */
export interface NodesInUse {
  /** Those that cannot serve, whatever is believed of them. */
  readonly unable: ReadonlySet<string>
  /** All that were asked, unable ones included. */
  readonly tried: ReadonlySet<string>
}

/** Who to ask: all that are up of the preference list, and unless strict a fallback for each that is not. */
export function activeList(view: SliceView, sloppy: boolean): readonly PreferenceEntry[] {
  const list = view.placement.active(view.slice, view.n, view.isUp)
  return sloppy || countPrimaries(list) === list.length ? list : list.filter(isPrimary)
}

/** The primaries that are not up. */
export function downPrimaries({ placement, slice, n, isUp }: SliceView): readonly string[] {
  return placement
    .primaries(slice, n)
    .map(({ node }) => node)
    .filter((node) => !isUp(node))
}

/** The primaries that are not among these targets. */
export function notAsked(
  { placement, slice, n }: SliceView,
  targets: readonly PreferenceEntry[],
): readonly string[] {
  const asked = new Set(targets.map(({ node }) => node))
  const missing = placement.primaries(slice, n).filter(({ node }) => !asked.has(node))
  return missing.map(({ node }) => node)
}

export function countPrimaries(list: readonly PreferenceEntry[]): number {
  let primaries = 0
  for (const entry of list) if (entry.role === 'primary') primaries += 1
  return primaries
}

/**
 * The fallback for a node that turned out to be dead or unable: the one that everybody will choose who knows that it is,
 * so that a read finds the write there, and else the next one up.
 */
export function spareFor(view: SliceView, { unable, tried }: NodesInUse): PreferenceEntry | undefined {
  const { placement, slice, n, isUp } = view
  const expected = placement
    .active(slice, n, (node) => isUp(node) && !unable.has(node))
    .find(({ node, role }) => role === 'fallback' && !tried.has(node))
  if (expected !== undefined) return expected
  const [next] = furtherNodes(view, tried)
  return next === undefined ? undefined : placement.fallback(slice, next)
}

/** Up to n more nodes, to be asked for what they may hold in place of the `lost`. */
export function furtherFallbacks(
  view: SliceView,
  targets: readonly PreferenceEntry[],
  lost: readonly PreferenceEntry[],
): readonly PreferenceEntry[] {
  return lost.length === 0 ? [] : allFallbacks(view, targets).slice(0, view.n)
}

/**
 * Whom a read asks when its targets have nothing: of what is `known` to have been written everybody, for any may have
 * it.
 */
export function furtherOf(
  view: SliceView,
  targets: readonly PreferenceEntry[],
  { sloppy, known }: { readonly sloppy: boolean; readonly known: boolean },
): (lost: readonly PreferenceEntry[]) => readonly PreferenceEntry[] {
  if (!sloppy) return () => []
  return (lost) => (known ? allFallbacks(view, targets) : furtherFallbacks(view, targets, lost))
}

function allFallbacks(view: SliceView, targets: readonly PreferenceEntry[]): readonly PreferenceEntry[] {
  const { placement, slice } = view
  const nodes = furtherNodes(view, new Set(targets.map(({ node }) => node)))
  return nodes.map((node) => placement.fallback(slice, node))
}

/** Whether a node is not up that may hold something in place of another. */
export function isSomeoneAway({ placement, slice, isUp }: SliceView): boolean {
  return placement.nodes(slice).some((node) => !isUp(node))
}

export interface Nearness {
  readonly local: string
  readonly latency: Latency
  readonly nowMs: number
}

/** The local replica first, then the primaries, the quickest first, and then the fallbacks. */
export function nearestFirst(
  targets: readonly PreferenceEntry[],
  nearness: Nearness,
): readonly PreferenceEntry[] {
  return [...targets].sort((a, b) => costOf(a, nearness) - costOf(b, nearness))
}

/** The place of the one that `nearestFirst` would put first, but for one whose data is an older copy; 0 of none. */
export function nearestOf(targets: readonly PreferenceEntry[], nearness: Nearness): number {
  let nearest = 0
  let least = Number.POSITIVE_INFINITY
  for (let at = 0; at < targets.length; at++) {
    const target = targets[at]
    if (target === undefined || target.isBehind) continue
    const cost = costOf(target, nearness)
    if (cost >= least) continue
    least = cost
    nearest = at
  }
  return nearest
}

function costOf({ node, role }: PreferenceEntry, { local, latency, nowMs }: Nearness): number {
  if (node === local) return -1
  return role === 'primary' ? latency.costMs(node, nowMs) : Number.MAX_VALUE
}

const isPrimary = (entry: PreferenceEntry) => entry.role === 'primary'

function furtherNodes({ placement, slice, isUp }: SliceView, tried: ReadonlySet<string>): string[] {
  return placement.nodes(slice).filter((node) => isUp(node) && !tried.has(node))
}
