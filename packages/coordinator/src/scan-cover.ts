import type { PreferenceEntry } from '@atoll/ring'
import { countsAsEvidence } from './evidence.ts'
import type { Absence } from './kv.ts'
import type { ReplicaScanVnode } from './ports.ts'

/** Who answers for which slices, so that every slice is answered for by as many nodes as a read of it needs. */
export interface Cover {
  /** Of the placement. */
  readonly epoch: number
  readonly nodes: readonly CoverNode[]
  /** Per slice: places in `nodes`. */
  readonly bySlice: readonly (readonly number[])[]
}

export interface CoverNode {
  readonly node: string
  readonly vnodes: readonly ReplicaScanVnode[]
  /** Slices of all its vnodes. */
  readonly slices: number
}

export interface CoverPlan {
  /** Of the placement that made the lists. */
  readonly epoch: number
  /** Per slice: whom a read of its keys would ask. */
  readonly lists: readonly (readonly PreferenceEntry[])[]
  /** Per slice: all who hold it, up or not. */
  readonly holders: readonly (readonly PreferenceEntry[])[]
  /** Per slice. While a cluster grows, some have more replicas than others. */
  readonly needs: readonly SliceNeed[]
  /** A node that costs no hop. */
  readonly local: string
}

export interface SliceNeed {
  readonly r: number
  /** Of which this many must be primaries. */
  readonly pr: number
  /** `primaries` if those who answer must all be: what is not in a page is absent. */
  readonly absence: Absence
}

/** A slice for which too few nodes can be reached. */
export interface CoverGap extends SliceNeed {
  readonly slice: number
  readonly n: number
  readonly reachable: number
  readonly primaries: number
  /** The holders that cannot be asked. */
  readonly down: readonly string[]
}

/**
 * A slice of which no primary is up has no one who could vouch for what its fallbacks lack, whoever is content with
 * them.
 */
export function findGap({ lists, holders, needs }: CoverPlan): CoverGap | undefined {
  for (const [slice, list] of lists.entries()) {
    const need = needs[slice] ?? NO_NEED
    const { r, pr, absence } = need
    const primaries = list.filter(countsAsEvidence).length
    if (list.length >= r && primaries >= Math.max(1, pr, absence === 'primaries' ? r : 0)) continue
    const all = holders[slice] ?? []
    const down = all.filter(({ node }) => !list.some((entry) => entry.node === node)).map(({ node }) => node)
    return { slice, n: all.length, reachable: list.length, primaries, ...need, down }
  }
  return undefined
}

/**
 * Few nodes, evenly loaded: nodes are chosen greedily by the slices that they would still add (a set multicover, within
 * ln Q of the least), and then the slices are dealt among those chosen. Fallbacks answer only where primaries are short.
 */
export function planCover(plan: CoverPlan): Cover {
  const needs = plan.lists.map((_, slice) => {
    const { r, pr } = plan.needs[slice] ?? NO_NEED
    return Math.max(r, pr)
  })
  const members = plan.lists.map((list, slice) => eligible(list, needs[slice] ?? 0))
  const chosen = chooseNodes(members, { needs, local: plan.local })
  const loads = new Map<string, number>()
  const dealt = members.map((list, slice) => deal(list, { chosen, loads, count: needs[slice] ?? 0 }))
  return { epoch: plan.epoch, ...grouped(dealt) }
}

const NO_NEED: SliceNeed = { r: 0, pr: 0, absence: 'any' }

function eligible(list: readonly PreferenceEntry[], count: number): readonly PreferenceEntry[] {
  const primaries = list.filter(countsAsEvidence)
  return primaries.length >= count ? primaries : list.slice(0, count)
}

function chooseNodes(
  members: readonly (readonly PreferenceEntry[])[],
  { needs: wanted, local }: Pick<Choice, 'needs' | 'local'>,
): ReadonlySet<string> {
  const chosen = new Set<string>()
  const needs = [...wanted]
  for (;;) {
    const node = mostNeeded(members, { chosen, needs, local })
    if (node === undefined) return chosen
    chosen.add(node)
    for (const [slice, list] of members.entries()) {
      if (list.some((entry) => entry.node === node)) needs[slice] = (needs[slice] ?? 0) - 1
    }
  }
}

interface Choice {
  readonly chosen: ReadonlySet<string>
  readonly needs: readonly number[]
  readonly local: string
}

function mostNeeded(members: readonly (readonly PreferenceEntry[])[], choice: Choice): string | undefined {
  const gains = new Map<string, number>()
  for (const [slice, list] of members.entries()) {
    if ((choice.needs[slice] ?? 0) <= 0) continue
    for (const { node } of list) {
      if (!choice.chosen.has(node)) gains.set(node, (gains.get(node) ?? 0) + 1)
    }
  }
  if (gains.has(choice.local)) return choice.local
  let best: string | undefined
  for (const [node, gain] of gains) {
    if (best === undefined || gain > (gains.get(best) ?? 0)) best = node
  }
  return best
}

interface Dealing {
  readonly chosen: ReadonlySet<string>
  readonly loads: Map<string, number>
  readonly count: number
}

function deal(
  list: readonly PreferenceEntry[],
  { chosen, loads, count }: Dealing,
): readonly PreferenceEntry[] {
  const load = ({ node }: PreferenceEntry) => loads.get(node) ?? 0
  const dealt = list
    .filter((entry) => chosen.has(entry.node))
    .sort((a, b) => load(a) - load(b))
    .slice(0, count)
  for (const entry of dealt) loads.set(entry.node, load(entry) + 1)
  return dealt
}

interface Dealt {
  readonly role: PreferenceEntry['role']
  readonly slices: number[]
}

function grouped(dealt: readonly (readonly PreferenceEntry[])[]): Omit<Cover, 'epoch'> {
  const places = new Map<string, number>()
  const vnodes: Map<number, Dealt>[] = []
  const bySlice = dealt.map((list, slice) =>
    list.map(({ node, partition, role }) => {
      const at = places.get(node) ?? places.size
      places.set(node, at)
      const own = vnodes[at] ?? new Map<number, Dealt>()
      vnodes[at] = own
      const vnode = own.get(partition) ?? { role, slices: [] }
      vnode.slices.push(slice)
      own.set(partition, vnode)
      return at
    }),
  )
  const nodes = [...places].map(([node, at]) => {
    const own = [...(vnodes[at] ?? [])].map(([partition, vnode]) => ({ partition, ...vnode }))
    return { node, vnodes: own, slices: own.reduce((sum, { slices }) => sum + slices.length, 0) }
  })
  return { nodes, bySlice }
}
