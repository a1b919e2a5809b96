import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Member, Move } from './document.ts'
import { isRestored } from './generations.ts'
import { stillWaiting } from './layout.ts'
import { checkAddress } from './limits.ts'
import { allow, memberOf } from './refusal.ts'
import { withoutRefiling } from './resize.ts'
import { settle } from './settle.ts'
import { votersOf } from './voters.ts'

/**
 * A member that will not be back soon: it is not asked any more, save for its vote where the voters are too few. It
 * stays in all lists; nobody waits for what it has to copy, unless those who are up may not have it all. Throws
 * `ATOLL_CHANGE_REFUSED` for the last voter, and for a member that is neither valid nor leaving.
 */
export function markDown(document: ClusterDocument, node: NodeName): ClusterDocument {
  const what = `mark ${node} down`
  const member = memberOf(document, node, what)
  const { state } = member
  if (state === 'down') return document
  allow(state === 'valid' || state === 'leaving', what, `it is ${state}`)
  allow(votersOf(document).length > 1, what, 'no other member could decide anything any more')
  return settle(withoutWaiting(withMember(document, { ...member, state: 'down', upState: state }), node))
}

/** A member that was marked down is back. It has to copy, too, what is being copied from the lists that it is in. */
export function markUp(document: ClusterDocument, node: NodeName): ClusterDocument {
  const what = `mark ${node} up`
  const { upState, ...member } = memberOf(document, node, what)
  if (member.state === 'valid' || member.state === 'leaving') return document
  allow(member.state === 'down', what, `it is ${member.state}`)
  const back = withMember(document, { ...member, state: upState ?? 'valid' })
  const moves = document.moves.map((move) => {
    if (move.kind !== 'add' || document.replicas[move.partition]?.includes(node) !== true) return move
    const waiting = move.waiting.includes(node) ? move.waiting : [...move.waiting, node]
    return awaiting({ ...move, waiting }, back)
  })
  const refills = document.refills.map((refill) => {
    const isOwn = isRestored(refill) && refill.node === node
    return isOwn || refill.waiting.includes(node) ? refill : { ...refill, waiting: [...refill.waiting, node] }
  })
  const { resizing } = document
  const files = resizing && { ...resizing, waiting: [...new Set([...resizing.waiting, node])] }
  return { ...back, moves, refills, resizing: files }
}

export function setAddress(document: ClusterDocument, node: NodeName, address: string): ClusterDocument {
  const member = memberOf(document, node, `change the address of ${node}`)
  if (member.address === checkAddress(address)) return document
  return withMember(document, { ...member, address })
}

function withMember(document: ClusterDocument, member: Member): ClusterDocument {
  const members = new Map(document.members).set(member.node, member)
  return { ...document, epoch: document.epoch + 1, members }
}

function withoutWaiting(document: ClusterDocument, node: NodeName): ClusterDocument {
  const refills = document.refills.map((refill) => ({
    ...refill,
    waiting: refill.waiting.filter((other) => other !== node),
  }))
  const moves = document.moves.map((move) =>
    move.kind === 'add' && move.waiting.includes(node) ? awaiting(move, document) : move,
  )
  return { ...withoutRefiling(document, node), moves, refills }
}

/** An addition that waits for whom it has to, now that some are down, or up again. */
function awaiting(
  move: Extract<Move, { readonly kind: 'add' }>,
  { replicas, members }: ClusterDocument,
): Move {
  const waiting = stillWaiting(move.waiting, replicas[move.partition] ?? [], members)
  return waiting === move.waiting ? move : { ...move, waiting }
}
