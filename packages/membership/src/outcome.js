import { refused } from './refusal.js'
/** Throws `ATOLL_CHANGE_REFUSED` if nobody would be left to hold partitions. */
export function outcomeOf({ members, staged }) {
  const after = new Map(members)
  for (const change of staged) apply(after, change)
  const claimants = [...after.values()].filter(holdsLater).sort((a, b) => (a.node < b.node ? -1 : 1))
  if (claimants.length === 0) throw refused('plan', 'no node would be left to hold partitions')
  const replacements = staged.flatMap((change) =>
    'by' in change && change.by !== change.node ? [[change.node, change.by]] : [],
  )
  const lost = staged.filter(({ kind }) => kind === 'force-replace' || kind === 'force-remove')
  return {
    members: after,
    claimants,
    relabelled: new Map(replacements),
    successors: new Set(replacements.map(([, by]) => by)),
    lost: new Set(lost.map(({ node }) => node)),
  }
}
function apply(members, change) {
  const member = members.get(change.node)
  if (member === undefined) return
  switch (change.kind) {
    case 'join':
      members.set(member.node, { ...member, state: 'valid' })
      break
    case 'leave':
    case 'replace':
      members.set(member.node, leaving(member))
      break
    case 'force-replace':
      if (change.by === change.node) members.set(member.node, renewed(member, change))
      else members.delete(member.node)
      break
    case 'force-remove':
      members.delete(member.node)
      break
    case 'zone':
      members.set(member.node, { ...member, zone: change.zone })
      break
  }
}
function leaving(member) {
  return member.state === 'down' ? { ...member, upState: 'leaving' } : { ...member, state: 'leaving' }
}
/** The same name with new data. */
function renewed(member, change) {
  const { node, zone, id, address } = member
  const state = member.state === 'leaving' || member.upState === 'leaving' ? 'leaving' : 'valid'
  return { node, zone, id: change.id ?? id, address: change.address ?? address, state }
}
function holdsLater({ state, upState }) {
  return state === 'valid' || (state === 'down' && upState !== 'leaving')
}
//# sourceMappingURL=outcome.js.map
