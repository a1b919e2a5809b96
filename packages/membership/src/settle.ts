import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Member, RaisedRefill, Refill } from './document.ts'
import { isRestored } from './generations.ts'
import { isNamed } from './layout.ts'
import { withoutRefiling } from './resize.ts'
import { isMajority, votersOf } from './voters.ts'

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

/**
 * What members still have to offer copies for. A raised n goes up by one when they have, until it is what it shall be. It
 * waits for members that are marked down, too, where a majority of the replicas that there were could be theirs alone.
 */
function stillOwed(refill: Refill, document: ClusterDocument): readonly Refill[] {
  const isHere = (node: string) => (document.members.get(node)?.state ?? 'exiting') !== 'exiting'
  const waiting = refill.waiting.filter(isHere)
  if (isRestored(refill)) return waiting.length === 0 || !isHere(refill.node) ? [] : [{ ...refill, waiting }]
  if (waiting.length > 0) return [{ ...refill, waiting }]
  const needed = neededOf(refill, document)
  if (needed.length > 0) return [{ ...refill, waiting: needed }]
  const from = refill.from + 1
  if (from >= refill.to) return []
  const [epoch] = refill.id.split('/')
  return [{ ...refill, id: `${epoch}/${refill.type}/${from}`, from, waiting: votersOf(document) }]
}

/** Members that are marked down and whose copies all others together may lack. */
function neededOf({ from }: RaisedRefill, { members, replicas }: ClusterDocument): readonly NodeName[] {
  const isDown = (node: NodeName) => members.get(node)?.state === 'down'
  const needed = replicas.flatMap((list) => {
    const holders = list.slice(0, from)
    const away = holders.filter(isDown)
    return isMajority(away.length, holders.length) ? away : []
  })
  return [...new Set(needed)].sort()
}

function exitIfDone(document: ClusterDocument, member: Member): Member {
  const done = member.state === 'leaving' && !isNamed(document, member.node)
  return done ? { ...member, state: 'exiting' } : member
}
