import { claim, type NodeName, type ReplicaTable, type Ring, replicaTable } from '@atoll/ring'
import type { Change } from './changes.ts'
import type { ClusterDocument } from './document.ts'
import { goalOf, type Layout } from './layout.ts'
import { leanLists } from './lean.ts'
import { type AfterLosses, withoutLost } from './losses.ts'
import type { Outcome } from './outcome.ts'
import { retarget } from './retarget.ts'
import { ringOf } from './zones.ts'

/** Who shall own each partition, and what the claim says of that. */
export interface Target {
  readonly owners: readonly NodeName[]
  readonly movedPartitions: number
  readonly leastPartitions: number
}

/**
 * A replacement takes exactly the partitions of the node that it replaces; anything else is up to the claim, which moves as
 * little as it can.
 */
export function chooseTarget({ ring, n, staged }: ClusterDocument, outcome: Outcome): Target {
  const { relabelled, claimants, successors } = outcome
  const current = ring.owners.map((owner) => relabelled.get(owner) ?? owner)
  const handed = ring.owners.filter((owner) => relabelled.has(owner)).length
  const inPlace = (change: Change) =>
    change.kind === 'replace' ||
    change.kind === 'force-replace' ||
    (change.kind !== 'resize' && successors.has(change.node))
  if (staged.every(inPlace)) return { owners: current, movedPartitions: handed, leastPartitions: handed }
  const members = claimants.map(({ node, zone }) => ({ node, zone }))
  const { owners, moved, leastMoves } = claim({ partitions: ring.partitions, members, n, current })
  return { owners, movedPartitions: moved + handed, leastPartitions: leastMoves + handed }
}

export interface Consequences {
  readonly ring: Ring
  readonly layout: AfterLosses
  /** The moves that were not pending before. */
  readonly created: Layout['moves']
  /** Copies that would have to be made in any layout in which each node holds as much. */
  readonly leastCopies: number
}

/** What happens to lists and moves when partitions are claimed by these owners. */
export function consequencesOf(
  document: ClusterDocument,
  { lost, members }: Outcome,
  owners: readonly NodeName[],
): Consequences {
  const ring = ringOf(owners, members)
  const made = replicaTable(ring, document.width)
  const survivors = withoutLost(document, lost, { wanted: made, members })
  const goal = goalOf(survivors)
  const wanted = leanLists(goal, made, ring.zones)
  const layout = { ...retarget(survivors, wanted, members), lost: survivors.lost }
  const known = new Set(document.moves)
  return {
    ring,
    layout,
    created: layout.moves.filter((move) => !known.has(move)),
    leastCopies: leastCopies(goal, wanted),
  }
}

function leastCopies(now: ReplicaTable, wanted: ReplicaTable): number {
  const missing = countCopies(wanted)
  for (const [node, count] of countCopies(now)) missing.set(node, (missing.get(node) ?? 0) - count)
  return [...missing.values()].reduce((sum, count) => sum + Math.max(0, count), 0)
}

function countCopies(table: ReplicaTable): Map<NodeName, number> {
  const counts = new Map<NodeName, number>()
  for (const node of table.flat()) counts.set(node, (counts.get(node) ?? 0) + 1)
  return counts
}
