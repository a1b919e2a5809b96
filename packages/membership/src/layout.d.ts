import type { NodeName, ReplicaTable } from '@atoll/ring'
import type { ClusterDocument, Move } from './document.ts'
/** Who holds what, and what is on its way. */
export interface Layout {
  readonly replicas: ReplicaTable
  /** By partition; those of one partition in the order in which they were decided. */
  readonly moves: readonly Move[]
}
/** Whether a move can be begun now: some wait for others of their partition. */
export declare function isReady({ replicas }: Pick<Layout, 'replicas'>, move: Move): boolean
/** The list of a partition once a move is done. */
export declare function applyMove(holders: readonly NodeName[], move: Move): readonly NodeName[]
/** Who holds each partition when all moves are done. */
export declare function goalOf({ replicas, moves }: Layout): ReplicaTable
/** The moves of each partition that has any. */
export declare function movesByPartition(moves: readonly Move[]): ReadonlyMap<number, readonly Move[]>
/** Who must copy to a node that is added: all that hold the partition but those that are down, if there are others. */
export declare function sourcesOf(
  holders: readonly NodeName[],
  members: ClusterDocument['members'],
): readonly NodeName[]
/** Whether a list or a move names the node. */
export declare function isNamed({ replicas, moves }: Layout, node: NodeName): boolean
//# sourceMappingURL=layout.d.ts.map
