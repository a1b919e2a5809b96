import type { ClaimViolation, NodeName, Transfer } from '@atoll/ring'
import type { Change } from './changes.ts'
import type { Member } from './document.ts'

/** A partition that will be handed over. `bytes` is undefined if nobody knows. */
export interface PlannedTransfer extends Transfer {
  readonly bytes: number | undefined
}

/** A partition of which the owner changes at once, without its data: it gets copies from the others. */
export interface PlannedRefill {
  readonly partition: number
  readonly owner: NodeName
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
  /** Who shall own each partition after all moves. */
  readonly owners: readonly NodeName[]
  /** All that will be handed over, moves that are pending already included; what is moving now comes before it. */
  readonly transfers: readonly PlannedTransfer[]
  readonly refills: readonly PlannedRefill[]
  /** Partitions that get another owner by these changes, and the least that any balanced plan could have. */
  readonly moved: number
  readonly leastMoves: number
  readonly violations: readonly ClaimViolation[]
}

export interface PlanOptions {
  /** What is known of the size of a partition, in bytes. */
  readonly bytesOf?: ((partition: number) => number | undefined) | undefined
}

export interface CommitOptions {
  /** Commits even if the plan keeps replicas apart worse than the present ring, and worse than it could. Default false. */
  readonly allowViolations?: boolean | undefined
}
