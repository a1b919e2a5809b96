import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Move } from './document.ts'
import { isRestored } from './generations.ts'
import { fits, touches } from './layout.ts'

/** What decides which moves can be begun. */
export type Pending = Pick<ClusterDocument, 'replicas' | 'moves' | 'refills'>

/**
 * Whether a move can be begun now. Some wait for earlier ones of their partition. A replacement waits until its source has
 * caught up, if the data of that is an older copy: nobody would know of the new holder that it lacks as much.
 */
export function isReady(pending: Pending, move: Move): boolean {
  const { replicas, moves } = pending
  if (move.kind === 'replace' && lacksCopies(pending, move.from)) return false
  for (const other of moves) {
    if (other === move) return fits(replicas[move.partition] ?? [], move)
    if (other.partition === move.partition && concern(other, move)) return false
  }
  return false
}

/** Whether the data of the node is an older copy, and others have yet to offer it what it lacks. */
export function lacksCopies({ refills }: Pick<ClusterDocument, 'refills'>, node: NodeName): boolean {
  return refills.some((refill) => isRestored(refill) && refill.node === node)
}

function concern(a: Move, b: Move): boolean {
  return touches(a, b.to) || (b.kind !== 'add' && touches(a, b.from))
}
