import type { NodeName } from '@atoll/ring'
import type { Change } from './changes.ts'
import type { ClusterDocument, Member } from './document.ts'
import { refused } from './refusal.ts'

/** What the staged changes make of the members. */
export interface Outcome {
  readonly members: ReadonlyMap<NodeName, Member>
  /** Who shall hold partitions, in the order of their names. */
  readonly claimants: readonly Member[]
  /** Nodes whose partitions go to another one as they are. */
  readonly relabelled: ReadonlyMap<NodeName, NodeName>
  /** Those that take their places. */
  readonly successors: ReadonlySet<NodeName>
  /** Nodes whose data is lost. */
  readonly lost: ReadonlySet<NodeName>
}

/** Throws `ATOLL_CHANGE_REFUSED` if nobody would be left to hold partitions. */
export function outcomeOf({ members, staged }: ClusterDocument): Outcome {
  const after = new Map(members)
  for (const change of staged) apply(after, change)
  const claimants = [...after.values()].filter(holdsLater).sort((a, b) => (a.node < b.node ? -1 : 1))
  if (claimants.length === 0)
    throw refused('plan', 'no node would be left to hold partitions; unstage one that leaves')
  const replacements = staged.flatMap((change) =>
    'by' in change && change.by !== change.node ? [[change.node, change.by] as const] : [],
  )
  return {
    members: after,
    claimants,
    relabelled: new Map(replacements),
    successors: new Set(replacements.map(([, by]) => by)),
    lost: new Set(staged.flatMap((change) => (isLoss(change) ? [change.node] : []))),
  }
}

type Loss = Extract<Change, { readonly kind: 'force-replace' | 'force-remove' }>

/** Whether a change says that the data of a node is lost. */
export function isLoss(change: Change): change is Loss {
  return change.kind === 'force-replace' || change.kind === 'force-remove'
}

function apply(members: Map<NodeName, Member>, change: Change): void {
  const member = change.kind === 'resize' ? undefined : members.get(change.node)
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

function leaving(member: Member): Member {
  return member.state === 'down' ? { ...member, upState: 'leaving' } : { ...member, state: 'leaving' }
}

/** The same name with new data. */
function renewed(member: Member, change: Extract<Change, { readonly kind: 'force-replace' }>): Member {
  const { node, zone, id, address } = member
  const state = member.state === 'leaving' || member.upState === 'leaving' ? 'leaving' : 'valid'
  return { node, zone, id: change.id ?? id, address: change.address ?? address, state }
}

function holdsLater({ state, upState }: Member): boolean {
  return state === 'valid' || (state === 'down' && upState !== 'leaving')
}
