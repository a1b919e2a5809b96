import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Move } from './document.ts'
import { isRestored } from './generations.ts'
import { fits, touches } from './layout.ts'

/** What decides which moves can be begun. */
export type Pending = Pick<ClusterDocument, 'replicas' | 'moves' | 'refills'>

/**
 * Whether a move can be begun now. Some wait for earlier ones of their partition. What takes a node out of a list waits
 * until both have caught up, if the data of one is an older copy: nobody would know of the new holder that it lacks as much.
 */
export function isReady(pending: Pending, move: Move): boolean {
  const { replicas, moves } = pending
  if (laggard(pending, move) !== undefined) return false
  for (const other of moves) {
    if (other === move) return fits(replicas[move.partition] ?? [], move)
    if (other.partition === move.partition && concern(other, move)) return false
  }
  return false
}

/** Who has to catch up before the move can be begun. */
export function laggard(pending: Pick<ClusterDocument, 'refills'>, move: Move): NodeName | undefined {
  return move.kind === 'add' ? undefined : [move.from, move.to].find((node) => lacksCopies(pending, node))
}

/** Whether the data of the node is an older copy, and others have yet to offer it what it lacks. */
function lacksCopies({ refills }: Pick<ClusterDocument, 'refills'>, node: NodeName): boolean {
  return refills.some((refill) => isRestored(refill) && refill.node === node)
}

function concern(a: Move, b: Move): boolean {
  return touches(a, b.to) || (b.kind !== 'add' && touches(a, b.from))
}
