import type { ClaimMember } from '@atoll/ring'

/** What must hold of an assignment. */
export interface Wanted {
  readonly nodeGap: number
  readonly zoneGap: number
}

const zonesOf = (members: readonly ClaimMember[]): string[] =>
  members.map(({ node, zone }) => (zone === undefined ? `alone ${node}` : `zone ${zone}`))

/** The smallest distance at which a value repeats, round the end too. */
export function gapOf(values: readonly string[]): number {
  for (let gap = 1; gap < values.length; gap++) {
    if (values.some((value, at) => value === values[(at + gap) % values.length])) return gap
  }
  return values.length
}

export function zoneOwners(owners: readonly string[], members: readonly ClaimMember[]): string[] {
  const zones = zonesOf(members)
  const byNode = new Map(members.map(({ node }, at) => [node, zones[at]!]))
  return owners.map((owner) => byNode.get(owner)!)
}

/** How many partitions the largest zone must own at least: who owns one more is chosen to make that small. */
export function largestZone(partitions: number, members: readonly ClaimMember[]): number {
  const floor = Math.floor(partitions / members.length)
  const nodes = new Map<string, number>()
  for (const zone of zonesOf(members)) nodes.set(zone, (nodes.get(zone) ?? 0) + 1)
  const zones = [...nodes.values()].map((count) => ({ owned: count * floor, room: count }))
  for (let extra = partitions % members.length; extra > 0; extra--) {
    const [smallest] = zones.filter(({ room }) => room > 0).sort((a, b) => a.owned - b.owned)
    smallest!.owned++
    smallest!.room--
  }
  return Math.max(...zones.map(({ owned }) => owned))
}

/** The fewest moves of any balanced assignment with these gaps, or undefined if there is none. Tries them all. */
export function fewestMoves(
  current: readonly string[],
  members: readonly ClaimMember[],
  wanted: Wanted,
): number | undefined {
  const home = current.map((owner) => members.findIndex(({ node }) => node === owner))
  return tryAll(home, zonesOf(members), wanted, false)
}

/** Whether there is a balanced assignment with these gaps. */
export function canBe(partitions: number, members: readonly ClaimMember[], wanted: Wanted): boolean {
  return tryAll(new Array<number>(partitions).fill(-1), zonesOf(members), wanted, true) !== undefined
}

function tryAll(
  home: readonly number[],
  zones: readonly string[],
  { nodeGap, zoneGap }: Wanted,
  any: boolean,
): number | undefined {
  const size = home.length
  const floor = Math.floor(size / zones.length)
  const counts = zones.map(() => 0)
  const owners: number[] = []
  let best: number | undefined
  const fits = (node: number): boolean =>
    owners.every((other, at) => {
      const distance = Math.min(owners.length - at, size - owners.length + at)
      if (other === node) return distance >= nodeGap && distance >= zoneGap
      return zones[other] !== zones[node] || distance >= zoneGap
    })
  const extend = (extras: number, moves: number): void => {
    const at = owners.length
    if (best !== undefined && (any || moves >= best)) return
    if (at === size) {
      best = moves
      return
    }
    if (counts.reduce((sum, count) => sum + Math.max(0, floor - count), 0) > size - at) return
    const nodes = [...counts.keys()].sort((a, b) => (b === home[at] ? 1 : 0) - (a === home[at] ? 1 : 0))
    for (const node of nodes) {
      const extra = counts[node]! >= floor ? 1 : 0
      if (counts[node]! > floor || extra > extras || !fits(node)) continue
      owners.push(node)
      counts[node]!++
      extend(extras - extra, moves + (home[at] === node ? 0 : 1))
      counts[node]!--
      owners.pop()
    }
  }
  extend(size % zones.length, 0)
  return best
}

/** All ways to put nodes into zones: [3], [2, 1], [1, 1, 1] for three. */
export function zonings(nodes: number, largest: number = nodes): number[][] {
  if (nodes === 0) return [[]]
  return Array.from({ length: Math.min(nodes, largest) }, (_, at) => at + 1)
    .reverse()
    .flatMap((size) => zonings(nodes - size, size).map((rest) => [size, ...rest]))
}

export function membersOf(sizes: readonly number[]): ClaimMember[] {
  let next = 0
  return sizes.flatMap((size, zone) =>
    Array.from({ length: size }, () => ({ node: `n${next++}`, zone: `z${zone}` })),
  )
}

export function plainMembers(nodes: number): ClaimMember[] {
  return Array.from({ length: nodes }, (_, at) => ({ node: `n${at}` }))
}
