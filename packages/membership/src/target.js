import { claim, replicaTable } from '@atoll/ring'
import { goalOf } from './layout.js'
import { withoutLost } from './losses.js'
import { retarget } from './retarget.js'
import { ringOf } from './zones.js'
/**
 * A replacement takes exactly the partitions of the node that it replaces; anything else is up to the claim, which moves as
 * little as it can.
 */
export function chooseTarget({ ring, n, staged }, outcome) {
  const { relabelled, claimants, successors } = outcome
  const current = ring.owners.map((owner) => relabelled.get(owner) ?? owner)
  const handed = ring.owners.filter((owner) => relabelled.has(owner)).length
  const inPlace = (change) =>
    change.kind === 'replace' || change.kind === 'force-replace' || successors.has(change.node)
  if (staged.every(inPlace)) return { owners: current, movedPartitions: handed, leastPartitions: handed }
  const members = claimants.map(({ node, zone }) => ({ node, zone }))
  const { owners, moved, leastMoves } = claim({ partitions: ring.partitions, members, n, current })
  return { owners, movedPartitions: moved + handed, leastPartitions: leastMoves + handed }
}
/** What happens to lists and moves when partitions are claimed by these owners. */
export function consequencesOf(document, { lost, members }, owners) {
  const ring = ringOf(owners, members)
  const wanted = replicaTable(ring, document.width)
  const survivors = withoutLost(document, lost, { wanted, members })
  const layout = { ...retarget(survivors, wanted, members), lost: survivors.lost }
  const known = new Set(document.moves)
  return {
    ring,
    layout,
    created: layout.moves.filter((move) => !known.has(move)),
    leastCopies: leastCopies(goalOf(survivors), wanted),
  }
}
function leastCopies(now, wanted) {
  const missing = countCopies(wanted)
  for (const [node, count] of countCopies(now)) missing.set(node, (missing.get(node) ?? 0) - count)
  return [...missing.values()].reduce((sum, count) => sum + Math.max(0, count), 0)
}
function countCopies(table) {
  const counts = new Map()
  for (const node of table.flat()) counts.set(node, (counts.get(node) ?? 0) + 1)
  return counts
}
//# sourceMappingURL=target.js.map
