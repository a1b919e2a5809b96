import type { NodeName, ReplicaTable } from '@atoll/ring'
import type { ClusterDocument, Move } from './document.ts'

/** Who holds what, and what is on its way. */
export interface Layout {
  readonly replicas: ReplicaTable
  /** By partition; those of one partition in the order in which they were decided. */
  readonly moves: readonly Move[]
}

/** Whether a move can be begun now: some wait for earlier ones of their partition. */
export function isReady({ replicas, moves }: Layout, move: Move): boolean {
  for (const other of moves) {
    if (other === move) return fits(replicas[move.partition] ?? [], move)
    if (other.partition === move.partition && concern(other, move)) return false
  }
  return false
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

function concern(a: Move, b: Move): boolean {
  return touches(a, b.to) || (b.kind !== 'add' && touches(a, b.from))
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

/** Who must copy to a node that is added: all that hold the partition but those that are down, if there are others. */
export function sourcesOf(
  holders: readonly NodeName[],
  members: ClusterDocument['members'],
): readonly NodeName[] {
  const up = holders.filter((node) => members.get(node)?.state !== 'down')
  return up.length > 0 ? up : holders
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
