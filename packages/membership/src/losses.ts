import type { NodeName, ReplicaTable } from '@atoll/ring'
import type { ClusterDocument, Move } from './document.ts'
import { type Layout, movesByPartition, sourcesOf } from './layout.ts'

export interface AfterLosses extends Layout {
  /** Partitions of which nobody holds a copy any more. */
  readonly lost: readonly number[]
}

interface Survivors {
  readonly lost: ReadonlySet<NodeName>
  /** Who holds the partition still. */
  readonly holders: readonly NodeName[]
  readonly members: ClusterDocument['members']
}

/**
 * Takes nodes that are lost with their data out of all lists, at once, so that quorums are counted among the others. A node
 * that was about to take the place of one gets copies from all others instead. Where nobody is left, a wanted node begins
 * with nothing.
 */
export function withoutLost(
  layout: Layout,
  lost: ReadonlySet<NodeName>,
  after: { readonly wanted: ReplicaTable; readonly members: ClusterDocument['members'] },
): AfterLosses {
  if (lost.size === 0) return { ...layout, lost: [] }
  const pending = movesByPartition(layout.moves)
  const gone: number[] = []
  const moves: Move[] = []
  const replicas = layout.replicas.map((list, partition) => {
    const holders = list.filter((node) => !lost.has(node))
    const kept = (pending.get(partition) ?? []).flatMap((move) =>
      surviving(move, { lost, holders, members: after.members }, list),
    )
    if (holders.length > 0) {
      moves.push(...kept)
      return holders
    }
    gone.push(partition)
    return [kept[0]?.to ?? after.wanted[partition]?.[0] ?? ''].filter((node) => node !== '')
  })
  return { replicas, moves, lost: gone }
}

/** What becomes of a move of a partition that has survivors. What is missing without it is planned anew. */
function surviving(
  move: Move,
  { lost, holders, members }: Survivors,
  list: readonly NodeName[],
): readonly Move[] {
  if (lost.has(move.to)) return []
  if (move.kind === 'add') {
    if (holders.length === list.length) return [move]
    // Bucket types that reach less far than the list did have not been copied by those who are done.
    return [{ ...move, waiting: sourcesOf(holders, members) }]
  }
  if (!lost.has(move.from)) return [move]
  const wasComing = move.kind === 'replace' && list.includes(move.from) && !holders.includes(move.to)
  if (!wasComing) return []
  const { partition, to } = move
  return [{ kind: 'add', partition, to, waiting: sourcesOf(holders, members) }]
}
