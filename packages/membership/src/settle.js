import { isNamed } from './layout.js'
/** What follows by itself from a change: a node that leaves and holds nothing is exiting, and owes nothing any more. */
export function settle(document) {
  const members = new Map([...document.members].map(([node, member]) => [node, exitIfDone(document, member)]))
  return { ...document, members, refills: stillOwed(document.refills, members) }
}
/** Refills that members still have to offer copies for. */
function stillOwed(refills, members) {
  return refills.flatMap((refill) => {
    const waiting = refill.waiting.filter((node) => (members.get(node)?.state ?? 'exiting') !== 'exiting')
    return waiting.length === 0 ? [] : [{ ...refill, waiting }]
  })
}
function exitIfDone(document, member) {
  const done = member.state === 'leaving' && !isNamed(document, member.node)
  return done ? { ...member, state: 'exiting' } : member
}
//# sourceMappingURL=settle.js.map
