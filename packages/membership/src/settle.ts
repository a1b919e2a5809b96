import type { ClusterDocument, Member, Refill } from './document.ts'
import { isNamed } from './layout.ts'
import { withoutRefiling } from './resize.ts'

/** What follows by itself from a change: a node that leaves and holds nothing is exiting, and owes nothing any more. */
export function settle(document: ClusterDocument): ClusterDocument {
  const members = new Map(
    [...document.members].map(([node, member]) => [node, exitIfDone(document, member)] as const),
  )
  const settled = { ...document, members, refills: stillOwed(document.refills, members) }
  const gone = document.resizing?.waiting.filter((node) => !members.has(node)) ?? []
  return gone.reduce(withoutRefiling, settled)
}

/** Refills that members still have to offer copies for. */
function stillOwed(refills: readonly Refill[], members: ClusterDocument['members']): readonly Refill[] {
  return refills.flatMap((refill) => {
    const waiting = refill.waiting.filter((node) => (members.get(node)?.state ?? 'exiting') !== 'exiting')
    return waiting.length === 0 ? [] : [{ ...refill, waiting }]
  })
}

function exitIfDone(document: ClusterDocument, member: Member): Member {
  const done = member.state === 'leaving' && !isNamed(document, member.node)
  return done ? { ...member, state: 'exiting' } : member
}
