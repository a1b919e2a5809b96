import type { ClusterDocument, Member, Refill } from './document.ts'
import { isRestored } from './generations.ts'
import { isNamed } from './layout.ts'
import { withoutRefiling } from './resize.ts'
import { votersOf } from './voters.ts'

/** What follows by itself from a change: a node that leaves and holds nothing is exiting, and owes nothing any more. */
export function settle(document: ClusterDocument): ClusterDocument {
  const members = new Map(
    [...document.members].map(([node, member]) => [node, exitIfDone(document, member)] as const),
  )
  const refills = document.refills.flatMap((refill) => stillOwed(refill, { ...document, members }))
  const settled = { ...document, members, refills }
  const gone = document.resizing?.waiting.filter((node) => !members.has(node)) ?? []
  return gone.reduce(withoutRefiling, settled)
}

/** What members still have to offer copies for. A raised n goes up by one when they have, until it is what it shall be. */
function stillOwed(refill: Refill, document: ClusterDocument): readonly Refill[] {
  const isHere = (node: string) => (document.members.get(node)?.state ?? 'exiting') !== 'exiting'
  const waiting = refill.waiting.filter(isHere)
  if (isRestored(refill)) return waiting.length === 0 || !isHere(refill.node) ? [] : [{ ...refill, waiting }]
  if (waiting.length > 0) return [{ ...refill, waiting }]
  const from = refill.from + 1
  if (from >= refill.to) return []
  const [epoch] = refill.id.split('/')
  return [{ ...refill, id: `${epoch}/${refill.type}/${from}`, from, waiting: votersOf(document) }]
}

function exitIfDone(document: ClusterDocument, member: Member): Member {
  const done = member.state === 'leaving' && !isNamed(document, member.node)
  return done ? { ...member, state: 'exiting' } : member
}
