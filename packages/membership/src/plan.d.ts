import { type ClaimViolation, type NodeName } from '@atoll/ring'
import type { Change } from './changes.ts'
import type { ClusterDocument, Member, Move } from './document.ts'
/** A move with its size. `bytes` is undefined if nobody knows. */
export type PlannedMove = Move & {
  readonly bytes: number | undefined
}
/** What a commit of the staged changes would do. */
export interface Plan {
  /** Of the document that it was made from. */
  readonly epoch: number
  /** Digest of all that it depends on: a commit fails if that has changed. */
  readonly basis: string
  readonly changes: readonly Change[]
  /** As they are right after the commit. */
  readonly members: ReadonlyMap<NodeName, Member>
  /** Who shall own each partition of the ring, of which the lists of replicas are made. */
  readonly owners: readonly NodeName[]
  /** Everything that has to be moved after the commit, what is pending already included. */
  readonly transfers: readonly PlannedMove[]
  /** Copies of partitions that these changes make: their replacements and additions. */
  readonly moved: number
  /** Copies that have to be made in any layout in which each node holds as much. */
  readonly leastMoves: number
  /** The same two numbers for the owners of the ring, as the claim has them. */
  readonly movedPartitions: number
  readonly leastPartitions: number
  /** Partitions of which every copy is lost with the nodes that are lost. */
  readonly lost: readonly number[]
  readonly violations: readonly ClaimViolation[]
}
export interface PlanOptions {
  /** What is known of the size of a partition, in bytes. */
  readonly bytesOf?: ((partition: number) => number | undefined) | undefined
}
/**
 * What a commit of the staged changes would do: a function of the document, the same on every node.
 *
 * @throws `ATOLL_CHANGE_REFUSED` if no node would be left to hold partitions.
 */
export declare function planOf(document: ClusterDocument, options?: PlanOptions): Plan
/** Digest of all that a plan depends on, in hexadecimal. */
export declare function basisOf(document: ClusterDocument): string
//# sourceMappingURL=plan.d.ts.map
