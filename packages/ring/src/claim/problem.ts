/** A partition that nobody owns, or that belonged to a node that is no member any more. */
export const NOBODY = -1

/** What is to be claimed, in numbers: nodes and zones count from 0. */
export interface Problem {
  readonly partitions: number
  readonly nodes: number
  /** The zone of each node. */
  readonly zone: Uint16Array
  readonly zones: number
  /** How many nodes each zone has. */
  readonly zoneNodes: readonly number[]
  /** Who owns each partition now, or `NOBODY`. */
  readonly home: Int16Array
  /** Every node owns `floor` partitions, and `extras` of them one more. */
  readonly floor: number
  readonly extras: number
}

/** `zone` numbers the zones from 0 without a gap. */
export function defineProblem(zone: Uint16Array, home: Int16Array): Problem {
  const zoneNodes: number[] = []
  for (const number of zone) zoneNodes[number] = (zoneNodes[number] ?? 0) + 1
  return {
    partitions: home.length,
    nodes: zone.length,
    zone,
    zones: zoneNodes.length,
    zoneNodes,
    home,
    floor: Math.floor(home.length / zone.length),
    extras: home.length % zone.length,
  }
}

/** How many partitions each node owns in `owners`. */
export function countOwned(problem: Problem, owners: Int16Array): Int32Array {
  const counts = new Int32Array(problem.nodes)
  for (const owner of owners) if (owner !== NOBODY) counts[owner] = (counts[owner] ?? 0) + 1
  return counts
}

/** What over-full nodes and leavers must give up to get to balance: no claim can move less. */
export function leastMoves(problem: Problem): number {
  const counts = countOwned(problem, problem.home)
  let kept = 0
  let overFull = 0
  for (const count of counts) {
    kept += Math.min(count, problem.floor)
    if (count > problem.floor) overFull++
  }
  return problem.partitions - kept - Math.min(overFull, problem.extras)
}

/** The smallest size of the largest zone, over all balanced choices of who has one partition more. */
export function evenZoneMost(problem: Problem): number {
  const room = (most: number): number =>
    problem.zoneNodes.reduce((sum, nodes) => sum + Math.min(nodes, most - nodes * problem.floor), 0)
  let most = Math.max(...problem.zoneNodes) * problem.floor
  while (room(most) < problem.extras) most++
  return most
}

export function countMoves(problem: Problem, owners: Int16Array): number {
  return owners.reduce((moves, owner, partition) => moves + (problem.home[partition] === owner ? 0 : 1), 0)
}
