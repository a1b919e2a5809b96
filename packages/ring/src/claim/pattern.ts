import { chooseShares } from './fair-share.ts'
import type { Problem } from './problem.ts'

/**
 * Lets classes of given sizes go round a ring so that equals are at least floor(Q / m) apart, m being the largest size:
 * the best that any arrangement can do.
 *
 * The ring is cut into m rows of equal length, give or take one, the longer first. Filling the columns one after the
 * other, as in McNaughton's wrap-around rule (1959), no class gets twice into a row. Classes of size m come first and
 * fill whole columns, so their members are a whole row apart; a smaller class that wraps into the next column leaves out
 * at least one row in between. Returns the class at each place.
 */
export function arrange(sizes: readonly number[]): Uint16Array {
  const places = sizes.reduce((sum, size) => sum + size, 0)
  const rows = Math.max(...sizes)
  const columns = Math.floor(places / rows)
  const longRows = places - rows * columns
  const order = [...sizes.keys()].sort((a, b) => (sizes[b] ?? 0) - (sizes[a] ?? 0) || a - b)
  const queue = order.flatMap((member) => new Array<number>(sizes[member] ?? 0).fill(member))
  const ring = new Uint16Array(places)
  for (const [at, member] of queue.entries()) {
    const row = at % rows
    const column = Math.floor(at / rows)
    ring[row * columns + Math.min(row, longRows) + column] = member
  }
  return ring
}

/** Nodes at the widest spacing that balance allows, those of one zone spread over the order. */
export function nodePattern(problem: Problem, zoneMost: number): Int16Array {
  const shares = chooseShares(problem, zoneMost)
  const order = spreadZones(problem)
  const pattern = arrange(order.map((node) => shares[node] ?? 0))
  return Int16Array.from(pattern, (member) => order[member] ?? 0)
}

/** Zones at the widest spacing that their sizes allow, and in each zone its nodes in turn. */
export function zonePattern(problem: Problem, zoneMost: number): Int16Array {
  const shares = chooseShares(problem, zoneMost)
  const members: number[][] = problem.zoneNodes.map(() => [])
  const sizes: number[] = problem.zoneNodes.map(() => 0)
  for (const [node, zone] of problem.zone.entries()) {
    members[zone]?.push(node)
    sizes[zone] = (sizes[zone] ?? 0) + (shares[node] ?? 0)
  }
  // Those with one more partition first: taking turns then gives each node exactly its share.
  for (const nodes of members) nodes.sort((a, b) => (shares[b] ?? 0) - (shares[a] ?? 0) || a - b)
  const turns = new Int32Array(problem.zones)
  return Int16Array.from(arrange(sizes), (zone) => {
    const nodes = members[zone] ?? []
    const turn = turns[zone] ?? 0
    turns[zone] = turn + 1
    return nodes[turn % nodes.length] ?? 0
  })
}

/** All nodes, so that those of a zone of k come about S / k places apart. */
function spreadZones(problem: Problem): number[] {
  const met = new Int32Array(problem.zones)
  const rank = Array.from(problem.zone, (zone) => {
    const before = met[zone] ?? 0
    met[zone] = before + 1
    return (before + 0.5) / (problem.zoneNodes[zone] ?? 1)
  })
  return [...rank.keys()].sort((a, b) => (rank[a] ?? 0) - (rank[b] ?? 0) || a - b)
}
