import { AtollError } from '@atoll/core'
import {
  type ClusterDocument,
  isForAllVersions,
  isReady,
  isRestored,
  type Move,
  type RaisedRefill,
  type Refill,
  refilled,
} from '@atoll/membership'
import { type NodeName, overlapping } from '@atoll/ring'

/** The partitions that a node holds by the document. */
export function heldBy({ replicas }: Pick<ClusterDocument, 'replicas'>, node: NodeName): ReadonlySet<number> {
  return new Set(replicas.flatMap((holders, partition) => (holders.includes(node) ? [partition] : [])))
}

/** The nodes of which the data is another than it was: made anew, or an older copy. What was copied there may be gone. */
export function lostBetween(
  before: ClusterDocument | undefined,
  { members, refills }: ClusterDocument,
): readonly NodeName[] {
  if (before === undefined) return []
  const known = new Set(before.refills.map(({ id }) => id))
  const older = refills.flatMap((refill) => (isRestored(refill) && !known.has(refill.id) ? refill.node : []))
  const anew = [...before.members].filter(([node, { id }]) => (members.get(node)?.id ?? id) !== id)
  return [...older, ...anew.map(([node]) => node)]
}

/** Something that a node has to do about data that lies, or shall lie, elsewhere than the document says. */
export type DataWork =
  /** Hand a replica to the node that takes its place, or that stays, and say so when that has everything. */
  | { readonly kind: 'transfer'; readonly move: Exclude<Move, { kind: 'add' }> }
  /** Copy a replica to a node that joins its list, and say so when that has everything. */
  | { readonly kind: 'copy'; readonly move: Extract<Move, { kind: 'add' }> }
  /** The document does not want a transfer any more that has begun. */
  | { readonly kind: 'cancel'; readonly partition: number; readonly isLost: boolean }
  /** The document knows that a transfer is done. */
  | { readonly kind: 'release'; readonly partition: number }
  /** Give to its holders what lies here for them: hinted handoff, and what a former holder still has. */
  | {
      readonly kind: 'give-back'
      readonly partition: number
      readonly to: readonly NodeName[]
      /** Only this bucket type, which has fewer replicas than the partition has holders. */
      readonly type?: string
    }
  /** Give a node what it missed of a partition while it was away, or those who hold that in its place. */
  | {
      readonly kind: 'hints'
      readonly partition: number
      readonly node: NodeName
      /** Which of those who may have the same to give this node is: the first begins, and the others look after it. */
      readonly turn: number
    }
  /** Copy the records of a bucket type to the replica that it gets, or to a node whose data is an older copy. */
  | { readonly kind: 'refill'; readonly refill: Refill }
  /** File all records by the partitions of the ring, which has got more. */
  | { readonly kind: 'refile'; readonly partitions: number }
  /** Ask to do that now, instead of a node that is down. */
  | { readonly kind: 'take-turn'; readonly instead: NodeName }
  /** Say that it is done. */
  | { readonly kind: 'refiled' }
  /** Nothing is left here: the node that leaves may go. */
  | { readonly kind: 'exit' }

export interface Surplus {
  readonly partition: number
  readonly type: string
  /** Replicas of the type. */
  readonly n: number
}

export interface Missing {
  readonly partition: number
  readonly node: NodeName
}

/** What a node knows when it looks for work. */
export interface Outlook {
  readonly node: NodeName
  readonly document: ClusterDocument
  /** How many partitions the ring has by which this node's records are filed. `held` and `outgoing` are of that ring. */
  readonly filed: number
  /** Partitions with records on this node. */
  readonly held: readonly number[]
  /** Records of bucket types with so few replicas that this node, which holds the partition, is none of them. */
  readonly surplus: readonly Surplus[]
  /** Who missed something of what, as this node has noted it; default nobody. */
  readonly hinted?: readonly Missing[]
  /** Transfers that this node has begun: partition and target. */
  readonly outgoing: ReadonlyMap<number, NodeName>
  readonly isUp: (node: NodeName) => boolean
}

/** All that this node has to do now, in the order in which it should begin. */
export function workFor(outlook: Outlook): readonly DataWork[] {
  const { node, document, filed } = outlook
  if (filed !== document.ring.partitions) return refiling(outlook)
  return [
    ...(document.resizing?.waiting.includes(node) === true ? [{ kind: 'refiled' } as const] : []),
    ...settlements(outlook),
    ...handovers(outlook),
    ...givingBack(outlook),
    ...refilling(outlook),
    ...hinting(outlook),
    ...exiting(outlook),
  ]
}

/** One text for each piece of work, by which it is known from one look to the next. */
export function nameOfWork(work: DataWork): string {
  switch (work.kind) {
    case 'exit':
    case 'refile':
    case 'take-turn':
    case 'refiled':
      return work.kind
    case 'refill':
      return `refill ${work.refill.id}`
    case 'transfer':
    case 'copy':
      return `${work.kind} ${work.move.partition} to ${work.move.to}`
    case 'hints':
      return `hints of ${work.partition} for ${work.node}`
    case 'give-back':
      return `give back ${work.type ?? 'all'} of ${work.partition} to ${work.to.join(' ')}`
    default:
      return `${work.kind} ${work.partition}`
  }
}

/**
 * No move was pending when the ring got more partitions: what has begun is over. Then the nodes take their turns, so
 * that the others serve; one that nobody waits for need not wait either. One that was marked down is marked up first.
 */
function refiling({ node, document, filed, outgoing, isUp }: Outlook): readonly DataWork[] {
  const { partitions } = document.ring
  if (outgoing.size > 0) {
    return [...outgoing].map(([partition, to]) => {
      const [part = partition] = overlapping(partition, filed, partitions)
      if (document.replicas[part]?.includes(node) !== true) return { kind: 'release', partition }
      return { kind: 'cancel', partition, isLost: !document.members.has(to) }
    })
  }
  if (filed > partitions || document.members.get(node)?.state === 'down') return []
  const waiting = document.resizing?.waiting ?? []
  const [next] = waiting
  if (next === undefined || next === node || !waiting.includes(node)) return [{ kind: 'refile', partitions }]
  const first = waiting.find((other) => other === node || isUp(other))
  return first === node ? [{ kind: 'take-turn', instead: next }] : []
}

/** What has begun and is not wanted any more, or is settled. */
function settlements(outlook: Outlook): DataWork[] {
  const { document, node } = outlook
  return [...outlook.outgoing].flatMap(([partition, to]): DataWork[] => {
    const wanted = ownMoves(outlook).some((move) => move.partition === partition && move.to === to)
    if (wanted) return []
    if (!holdersOf(outlook, partition).includes(node)) return [{ kind: 'release', partition }]
    return [{ kind: 'cancel', partition, isLost: !document.members.has(to) }]
  })
}

/** A replica is handed to one node at a time: an older transfer is cancelled or settled first. */
function handovers(outlook: Outlook): DataWork[] {
  const { outgoing, isUp } = outlook
  return ownMoves(outlook).flatMap((move): DataWork[] => {
    if (!isUp(move.to)) return []
    if (move.kind === 'add') return [{ kind: 'copy', move }]
    const begun = outgoing.get(move.partition)
    return begun === undefined || begun === move.to ? [{ kind: 'transfer', move }] : []
  })
}

/** The moves that wait for this node, and that it can begin. */
function ownMoves(outlook: Outlook): readonly Move[] {
  const { node, document } = outlook
  return document.moves.filter((move) => {
    const source = move.kind === 'add' ? move.waiting.includes(node) : move.from === node
    return source && isReady(document, move)
  })
}

/**
 * What a transfer has brought here already is nobody's hint. A node that joins the list gets it as well: who copies to
 * that may have passed the record, and does not hand on what comes as a hint.
 */
function givingBack(outlook: Outlook): DataWork[] {
  const { node, document, held, surplus, outgoing, isUp } = outlook
  const expected = new Set(document.moves.filter(({ to }) => to === node).map(({ partition }) => partition))
  const strays = held
    .filter((partition) => !holdersOf(outlook, partition).includes(node) && !expected.has(partition))
    .map((partition) => ({
      partition,
      to: [...holdersOf(outlook, partition), ...comingTo(document, partition)],
    }))
  const surpluses = surplus.map(({ partition, type, n }) => {
    return { partition, type, to: holdersOf(outlook, partition).slice(0, n) }
  })
  return [...strays, ...surpluses]
    .filter(({ partition, to }) => !outgoing.has(partition) && to.every(isUp))
    .map((given) => ({ kind: 'give-back', ...given }))
}

/** Nodes that get a replica besides those that there are. */
function comingTo({ moves }: ClusterDocument, partition: number): readonly NodeName[] {
  return moves.flatMap((move) => (move.kind === 'add' && move.partition === partition ? [move.to] : []))
}

function refilling({ node, document, isUp }: Outlook): DataWork[] {
  return document.refills
    .filter((refill) => refill.waiting.includes(node) && (!isRestored(refill) || isUp(refill.node)))
    .map((refill) => ({ kind: 'refill', refill }))
}

/**
 * Where a fallback has given back all that it had of a partition, notes of that are left, which are looked
 * through at once. What a node missed that is about to hold the partition waits until that is decided.
 */
function hinting(outlook: Outlook): DataWork[] {
  const { node: own, held, hinted = [], isUp } = outlook
  return hinted.flatMap(({ partition, node }): DataWork[] => {
    if (comingTo(outlook.document, partition).includes(node)) return []
    const holders = holdersOf(outlook, partition)
    if (!offeredTo(holders, { missing: node, own }).every(isUp)) return []
    const others = holders.filter((holder) => holder !== node && isUp(holder))
    const last = held.includes(partition) ? others.length : 0
    const turn = others.includes(own) ? others.indexOf(own) : last
    return [{ kind: 'hints', partition, node, turn }]
  })
}

/**
 * Who is offered what a node has missed: itself, or all other holders if it is none any more, for it may have handed on what
 * it had.
 */
export function offeredTo(
  holders: readonly NodeName[],
  { missing, own }: { readonly missing: NodeName; readonly own: NodeName },
): readonly NodeName[] {
  return holders.includes(missing) ? [missing] : holders.filter((holder) => holder !== own)
}

function exiting({ node, document, held }: Outlook): DataWork[] {
  const going = document.members.get(node)?.state === 'exiting'
  return going && held.length === 0 ? [{ kind: 'exit' }] : []
}

function holdersOf({ document }: Outlook, partition: number): readonly NodeName[] {
  return document.replicas[partition] ?? []
}

/**
 * The document once a node has offered its copies for a refill, which it began when it held these partitions. Throws
 * `ATOLL_CHANGE_REFUSED`, transient, if it got others meanwhile: what came with them may not have been offered.
 */
export function offered(
  document: ClusterDocument,
  node: NodeName,
  { id, held }: { readonly id: string; readonly held: ReadonlySet<number> },
): ClusterDocument {
  const gained = [...heldBy(document, node)].filter((partition) => !held.has(partition))
  if (gained.length === 0) return refilled(document, node, [id])
  const message = `${node} got partitions ${gained.join(', ')} while it offered its copies, and has to offer those as well`
  throw new AtollError('ATOLL_CHANGE_REFUSED', message, { transient: true })
}

/**
 * Up to how many replicas of a bucket type are given copies by this step of a refill. While programs may be members
 * that know no steps, and take the refill for done after the first one, that is all of them.
 */
export function filledNext(document: ClusterDocument, { from, to }: RaisedRefill): number {
  return isForAllVersions(document) ? to : from + 1
}
