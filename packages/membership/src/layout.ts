import type { NodeName, ReplicaTable } from '@atoll/ring'
import type { ClusterDocument, Move } from './document.ts'

/** Who holds what, and what is on its way. */
export interface Layout {
  readonly replicas: ReplicaTable
  /** By partition; those of one partition in the order in which they were decided. */
  readonly moves: readonly Move[]
}

/** Whether a move makes sense for a list. */
export function fits(holders: readonly NodeName[], move: Move): boolean {
  switch (move.kind) {
    case 'replace':
      return holders.includes(move.from) && !holders.includes(move.to)
    case 'add':
      return !holders.includes(move.to)
    case 'drop':
      return holders.includes(move.from) && holders.includes(move.to)
  }
}

/** Whether a move takes the node into a list or out of it. */
export function touches(move: Move, node: NodeName): boolean {
  return (move.kind !== 'drop' && move.to === node) || (move.kind !== 'add' && move.from === node)
}

/** The list of a partition once a move is done. */
export function applyMove(holders: readonly NodeName[], move: Move): readonly NodeName[] {
  switch (move.kind) {
    case 'replace':
      return holders.map((node) => (node === move.from ? move.to : node))
    case 'add':
      return [...holders, move.to]
    case 'drop':
      return withoutDropped(holders, move)
  }
}

/**
 * Who has everything of the node that goes stands where that stood, unless it stands before it: a bucket type may have
 * fewer replicas than the list is long, and those behind lack its records.
 */
function withoutDropped(
  holders: readonly NodeName[],
  { from, to }: { readonly from: NodeName; readonly to: NodeName },
): readonly NodeName[] {
  if (holders.indexOf(to) < holders.indexOf(from)) return holders.filter((node) => node !== from)
  return holders.filter((node) => node !== to).map((node) => (node === from ? to : node))
}

/** Who holds each partition when all moves are done. */
export function goalOf({ replicas, moves }: Layout): ReplicaTable {
  const goal = [...replicas]
  for (const move of moves) goal[move.partition] = applyMove(goal[move.partition] ?? [], move)
  return goal
}

/**
 * These moves, where each that drops a node from the list of the partition has an heir which is there when its turn comes:
 * the one that was meant may have been replaced, or may not come at all.
 */
export function withHeirs(moves: readonly Move[], partition: number, holders: readonly NodeName[]): Move[] {
  let list = holders
  return moves.map((move, at) => {
    if (move.partition !== partition) return move
    const to = move.kind === 'drop' ? heirOf(move, list, moves.slice(at + 1)) : move.to
    const led = to === move.to ? move : { ...move, to }
    list = applyMove(list, led)
    return led
  })
}

/** The one that was meant, or else the last one that stays. */
function heirOf(
  { partition, from, to }: Extract<Move, { readonly kind: 'drop' }>,
  list: readonly NodeName[],
  later: readonly Move[],
): NodeName {
  const others = list.filter((node) => node !== from)
  const goes = (node: NodeName) => later.some((move) => move.partition === partition && touches(move, node))
  return others.includes(to) ? to : (others.findLast((node) => !goes(node)) ?? others.at(-1) ?? to)
}

/** The moves of each partition that has any. */
export function movesByPartition(moves: readonly Move[]): ReadonlyMap<number, readonly Move[]> {
  const grouped = new Map<number, Move[]>()
  for (const move of moves) {
    const group = grouped.get(move.partition)
    if (group === undefined) grouped.set(move.partition, [move])
    else group.push(move)
  }
  return grouped
}

/**
 * Who must copy to a node that is added: all that hold the partition but those that are down. Where those that are up are
 * too few to meet every majority of the list, all have to: what a majority confirmed may lie on none that is up.
 */
export function sourcesOf(
  holders: readonly NodeName[],
  members: ClusterDocument['members'],
): readonly NodeName[] {
  const up = upOf(holders, members)
  return meetMajorities(up, holders) ? up : holders
}

/**
 * Who must still copy to a node that is added, once others are down or up than before. The copies of those that are left
 * have to be enough by themselves: who came to the list later than the move was never waited for.
 */
export function stillWaiting(
  waiting: readonly NodeName[],
  holders: readonly NodeName[],
  members: ClusterDocument['members'],
): readonly NodeName[] {
  const up = upOf(waiting, members)
  if (up.length === waiting.length) return waiting
  return meetMajorities(up, holders) ? up : sourcesOf(holders, members)
}

function upOf(nodes: readonly NodeName[], members: ClusterDocument['members']): readonly NodeName[] {
  return nodes.filter((node) => members.get(node)?.state !== 'down')
}

/** Whether every majority of the list has at least one of these, which are of the list. */
function meetMajorities(some: readonly NodeName[], holders: readonly NodeName[]): boolean {
  return some.length >= holders.length / 2
}

/** Whether a list or a move names the node. */
export function isNamed({ replicas, moves }: Layout, node: NodeName): boolean {
  return (
    replicas.some((holders) => holders.includes(node)) ||
    moves.some(
      (move) => move.to === node || ('from' in move ? move.from === node : move.waiting.includes(node)),
    )
  )
}

/**
 * `after`, of the epoch that it has, with what it says of when its lists got longer. A ring of more partitions splits
 * lists.
 */
export function withGrowth(before: ClusterDocument, after: ClusterDocument): ClusterDocument {
  if (before.replicas.length !== after.replicas.length) return after
  const hasGrown = (partition: number) =>
    (after.replicas[partition]?.length ?? 0) > (before.replicas[partition]?.length ?? 0)
  if (!after.replicas.some((_, partition) => hasGrown(partition))) return after
  const grownAt = after.replicas.map((_, partition) =>
    hasGrown(partition) ? after.epoch : (before.grownAt[partition] ?? 0),
  )
  return { ...after, grownAt }
}
