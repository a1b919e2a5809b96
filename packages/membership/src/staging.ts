import { checkObject } from '@atoll/core'
import { checkNodeName, checkZoneName, type NodeName } from '@atoll/ring'
import type { Change, MemberChange } from './changes.ts'
import type { ClusterDocument, Member } from './document.ts'
import { checkAddress, checkId, MAX_MEMBERS } from './limits.ts'
import { allow, memberOf, refused } from './refusal.ts'
import { checkResize } from './resize.ts'

type Of<Kind extends Change['kind']> = Extract<Change, { readonly kind: Kind }>

/**
 * Adds a change to those that the next plan is made of. A node that joins is a member at once, in state `joining`, so
 * that it hears of everything. Staging what is staged already changes nothing.
 *
 * @throws `ATOLL_CHANGE_REFUSED` if the cluster does not allow it, `TypeError` or `RangeError` for a change that is none.
 */
export function stage(document: ClusterDocument, change: Change): ClusterDocument {
  if (document.staged.some((other) => sameChange(other, change))) return document
  const what = describeChange(change)
  if (change.kind === 'resize') {
    checkResize(document, change.partitions, what)
    return { ...document, epoch: document.epoch + 1, staged: [change] }
  }
  const members = check(document, change, what)
  for (const other of document.staged) {
    allow(
      other.kind !== 'resize',
      what,
      `${describeChange(other)} is staged already; call clear() or commit it first`,
    )
    const apart = (other.kind === 'zone') !== (change.kind === 'zone') || other.node !== change.node
    allow(apart, what, `${describeChange(other)} is staged already; call unstage('${other.node}') first`)
  }
  return { ...document, epoch: document.epoch + 1, members, staged: [...document.staged, change] }
}

/**
 * Takes back all that is staged for a node. One that was about to join is no member any more, and what would have made it
 * take the place of another is taken back too. Throws `ATOLL_CHANGE_REFUSED` if nothing is staged for it.
 */
export function unstage(document: ClusterDocument, node: NodeName): ClusterDocument {
  const gone = document.staged.filter((change) => concerns(change, node))
  allow(gone.length > 0, `unstage ${node}`, 'nothing is staged for it')
  const staged = document.staged.filter((change) => !gone.includes(change))
  return { ...document, epoch: document.epoch + 1, staged, members: withoutJoins(document, gone) }
}

/** Takes back all that is staged. */
export function clearStaged(document: ClusterDocument): ClusterDocument {
  const { staged } = document
  if (staged.length === 0) return document
  return { ...document, epoch: document.epoch + 1, staged: [], members: withoutJoins(document, staged) }
}

/** What a change does, as in "join n4". */
export function describeChange(change: Change): string {
  checkObject('change', change)
  switch (change.kind) {
    case 'join':
      return `join ${change.node}`
    case 'leave':
      return `let ${change.node} leave`
    case 'replace':
      return `replace ${change.node} by ${change.by}`
    case 'force-replace':
      return `force-replace ${change.node} by ${change.by === change.node ? 'itself' : change.by}`
    case 'force-remove':
      return `force-remove ${change.node}`
    case 'zone':
      return `put ${change.node} into zone ${change.zone}`
    case 'resize':
      return `resize the ring to ${change.partitions} partitions`
  }
}

function concerns(change: Change, node: NodeName): boolean {
  return change.kind !== 'resize' && (change.node === node || ('by' in change && change.by === node))
}

function sameChange(a: Change, b: Change): boolean {
  const [x, y]: Partial<Record<string, unknown>>[] = [{ ...a }, { ...b }]
  if (x === undefined || y === undefined) return false
  return ['kind', 'node', 'by', 'id', 'address', 'zone', 'partitions'].every((field) => x[field] === y[field])
}

function withoutJoins({ members }: ClusterDocument, gone: readonly Change[]): ClusterDocument['members'] {
  const joins = new Set(gone.flatMap((change) => (change.kind === 'join' ? [change.node] : [])))
  return new Map([...members].filter(([node]) => !joins.has(node)))
}

/** The members once the change is staged. */
function check(document: ClusterDocument, change: MemberChange, what: string): ClusterDocument['members'] {
  checkNodeName('node', change.node)
  switch (change.kind) {
    case 'join':
      return checkJoin(document, change, what)
    case 'leave':
      checkLeave(memberOf(document, change.node, what), what)
      break
    case 'replace':
      checkLeave(memberOf(document, change.node, what), what)
      checkSuccessor(document, change, what)
      break
    case 'force-replace':
      checkForceReplace(document, change, what)
      break
    case 'force-remove':
      // One that is exiting owns nothing, and cannot go by itself either.
      checkJoined(memberOf(document, change.node, what), what)
      break
    case 'zone':
      checkZoneName(change.zone)
      memberOf(document, change.node, what)
      break
  }
  return document.members
}

function checkJoin(document: ClusterDocument, change: Of<'join'>, what: string): ClusterDocument['members'] {
  const { node, zone } = change
  const joining: Member = {
    node,
    id: checkId(change.id),
    address: checkAddress(change.address),
    zone: zone === undefined ? undefined : checkZoneName(zone),
    state: 'joining',
  }
  const known = document.members.get(node)
  if (known !== undefined) {
    const { id } = change
    if (known.id === id) throw refused(what, `${node} is a member already`)
    throw refused(what, `${node} is a member with other data; ${adviceFor(known, id)}`, { node, id })
  }
  const twin = [...document.members.values()].find(({ id }) => id === change.id)
  allow(twin === undefined, what, `${twin?.node} has the same data; a copy of a node needs data of its own`)
  allow(document.members.size < MAX_MEMBERS, what, `there are ${MAX_MEMBERS} members already`)
  return new Map([...document.members, [node, joining]])
}

/** What to do with a member that has lost its data, and has an id anew: one that holds nothing is let go. */
function adviceFor({ node, state }: Member, id: string): string {
  if (state === 'joining') return `start it with its data, or call unstage('${node}') and let it join anew`
  if (state === 'exiting') return `start it with its data, or stage a force-remove of ${node}`
  return `start it with its data, or stage a force-replace of ${node} by itself with id ${id}`
}

function checkLeave({ node, state }: Member, what: string): void {
  allow(state !== 'joining', what, `${node} has not joined yet; call unstage('${node}')`)
  const lost = 'bring it back, or stage a force-replace or force-remove'
  allow(state !== 'down', what, `${node} is down and cannot hand over its data; ${lost}`)
  allow(state === 'valid', what, `${node} is ${state} already`)
}

function checkJoined({ node, state }: Member, what: string): void {
  allow(state !== 'joining', what, `${node} has not joined yet; call unstage('${node}')`)
}

function checkLost(member: Member, what: string): void {
  checkJoined(member, what)
  allow(member.state !== 'exiting', what, `${member.node} is exiting and owns nothing`)
}

function checkSuccessor(
  document: ClusterDocument,
  change: Of<'replace' | 'force-replace'>,
  what: string,
): void {
  const by = memberOf(document, checkNodeName('by', change.by), what)
  const free = 'only a node that joins, and holds nothing yet, takes the place of another'
  const instead = change.kind === 'force-replace' ? `; stage a force-remove of ${change.node} instead` : ''
  allow(by.state === 'joining', what, `${by.node} has joined already: ${free}${instead}`)
  const [rival] = document.staged.flatMap((other) =>
    'by' in other && other.by === by.node ? [other.node] : [],
  )
  allow(
    rival === undefined,
    what,
    `${by.node} takes the place of ${rival} already; call unstage('${rival}') first`,
  )
}

function checkForceReplace(document: ClusterDocument, change: Of<'force-replace'>, what: string): void {
  const member = memberOf(document, change.node, what)
  checkLost(member, what)
  if (change.by !== change.node) {
    allow(
      change.id === undefined && change.address === undefined,
      what,
      'id and address are those of its join',
    )
    checkSuccessor(document, change, what)
    return
  }
  allow(change.id !== undefined, what, 'the id of its new data is missing')
  checkId(change.id)
  if (change.address !== undefined) checkAddress(change.address)
  const twin = [...document.members.values()].find(({ id }) => id === change.id)
  allow(twin === undefined, what, `${twin?.node} has that id`)
}
