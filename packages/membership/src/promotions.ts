import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Move, RaisedRefill, Refill } from './document.ts'
import { isRestored } from './generations.ts'
import { votersOf } from './voters.ts'

/** How many replicas a bucket type has by its properties; undefined where they cannot be read. */
export type ReplicasOf = (properties: Uint8Array) => number | undefined

/** A list that got shorter: its nodes now, each with whom of the list before it stands for. */
interface Shortened {
  readonly before: readonly NodeName[]
  /** Undefined for one that was added. */
  readonly now: readonly (NodeName | undefined)[]
  /** Who left by handing all that it had to one that stays. */
  readonly heirs: readonly { readonly from: NodeName; readonly to: NodeName }[]
}

/**
 * `after`, with a refill of each bucket type of which a list that got shorter has made a node one of its replicas that was
 * none so far. Lists can be longer than a type has replicas; where one of the first of them goes, the next one moves up
 * with nothing of the type. The type is read from so many replicas as all lists still have filled, and goes up to n by one
 * at a time, as if n had been raised.
 */
export function withPromotions(
  before: ClusterDocument,
  after: ClusterDocument,
  replicasOf: ReplicasOf,
): ClusterDocument {
  const shortened = shortenedLists(before, after)
  if (shortened.length === 0) return after
  const refills = [...after.bucketTypes].reduce<readonly Refill[]>((known, [type, properties]) => {
    const n = replicasOf(properties)
    return n === undefined ? known : withPromoted(known, { type, n, shortened, after })
  }, after.refills)
  return refills === after.refills ? after : { ...after, refills }
}

function withPromoted(
  refills: readonly Refill[],
  of: {
    readonly type: string
    readonly n: number
    readonly shortened: readonly Shortened[]
    readonly after: ClusterDocument
  },
): readonly Refill[] {
  const { type, n, shortened, after } = of
  const isOfType = (refill: Refill): refill is RaisedRefill => !isRestored(refill) && refill.type === type
  const pending = refills.find(isOfType)
  const filled = Math.min(n, pending?.from ?? n)
  const promoting = shortened
    .map((list) => ({ has: filledOf(list, { n, filled }), length: Math.min(n, list.now.length) }))
    .filter(({ has, length }) => has < length)
  if (promoting.length === 0) return refills
  // Where the only one that had it is gone there is nobody to get it from.
  const from = Math.max(1, Math.min(...promoting.map(({ has }) => has)))
  if (from >= n) return refills
  const refill = { id: `${after.epoch}/${type}`, type, from, to: n, waiting: votersOf(after) }
  return [...refills.filter((other) => other !== pending), refill]
}

/** How many nodes at the head of the list have all of a type that `filled` of the list before had. */
function filledOf(
  { before, now, heirs }: Shortened,
  { n, filled }: { readonly n: number; readonly filled: number },
): number {
  const have = new Set(before.slice(0, filled))
  for (const { from, to } of heirs) if (have.has(from)) have.add(to)
  // Who is added gets what reaches as far as the list did.
  const first = now.findIndex((node) => (node === undefined ? n <= before.length : !have.has(node)))
  return first < 0 ? now.length : first
}

/** A ring that got more partitions has other lists, and none of them is shorter. */
function shortenedLists(before: ClusterDocument, after: ClusterDocument): readonly Shortened[] {
  if (before.replicas === after.replicas || before.replicas.length !== after.replicas.length) return []
  // Who is lost has handed nothing on.
  const isLost = (node: NodeName) => after.members.get(node)?.id !== before.members.get(node)?.id
  return after.replicas.flatMap((list, partition) => {
    const holders = before.replicas[partition] ?? []
    if (list === holders) return []
    const moves = before.moves.filter((move) => move.partition === partition)
    const now = list.map((node) => stoodFor(node, { holders, moves }))
    if (holders.every((node) => now.includes(node))) return []
    const heirs = moves.flatMap((move) => {
      if (move.kind !== 'drop' || list.includes(move.from) || isLost(move.from)) return []
      const [from, to] = [move.from, move.to].map((node) => stoodFor(node, { holders, moves }))
      return from === undefined || to === undefined ? [] : [{ from, to }]
    })
    return [{ before: holders, now, heirs }]
  })
}

/** Whom of the list before: itself, or whose place it has taken. */
function stoodFor(
  node: NodeName,
  { holders, moves }: { readonly holders: readonly NodeName[]; readonly moves: readonly Move[] },
): NodeName | undefined {
  let now: NodeName | undefined = node
  for (let step = 0; step <= moves.length; step++) {
    if (now === undefined || holders.includes(now)) return now
    const to: NodeName = now
    now = moves.flatMap((move) => (move.kind === 'replace' && move.to === to ? [move.from] : []))[0]
  }
  return undefined
}
