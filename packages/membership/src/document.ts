import type { NodeName, Ring } from '@atoll/ring'
import type { Change } from './changes.ts'

/**
 * - `joining`: takes part in gossip, owns nothing until its join is committed.
 * - `valid`: owns partitions.
 * - `leaving`: its partitions move away; it serves until the last one is gone.
 * - `exiting`: owns nothing any more, and may go.
 * - `down`: an operator said so. It keeps what it owns, and is not asked.
 */
export type MemberState = 'joining' | 'valid' | 'leaving' | 'exiting' | 'down'

export interface Member {
  readonly node: NodeName
  /** Made at random with the node's data and kept with it, so that a node which lost its disk is noticed. */
  readonly id: string
  /** Where it listens. */
  readonly address: string
  /** Failure zone; a node without one is a zone of its own. */
  readonly zone?: string | undefined
  readonly state: MemberState
  /** For a member that is down: what it becomes when it is back. */
  readonly upState?: 'valid' | 'leaving' | undefined
}

/**
 * Copies that are still owed.
 *
 * - `partition`: its owner has lost, or never had, its data. To be done at once.
 * - `regrouped`: preference lists around it have changed, as they do where few nodes share a ring, so that some of its
 *   copies were written elsewhere. To be done once nothing moves any more; its owner is a source too, since copies may
 *   lie under another of its partitions.
 * - `replicas`: n of a bucket type was raised.
 */
export type Refill = {
  readonly id: string
  /** The members that have not offered their copies yet. */
  readonly waiting: readonly NodeName[]
} & (
  | { readonly kind: 'partition'; readonly partition: number }
  | { readonly kind: 'regrouped'; readonly partition: number }
  | { readonly kind: 'replicas'; readonly type: string; readonly from: number; readonly to: number }
)

/** An epoch that was not decided by a majority, but by an operator who said that it was gone. */
export interface ForcedRecord {
  readonly epoch: number
  /** The node that decided alone. */
  readonly by: NodeName
  readonly atMs: number
  readonly missing: readonly NodeName[]
  readonly reason: string
}

/**
 * All that the members of a cluster agree on. Immutable: every change is a new document with the next epoch, decided by
 * the voters of this one.
 */
export interface ClusterDocument {
  readonly clusterId: string
  /** From 1. After a forced decision it goes on at the next million, beyond whatever the missing ones may decide. */
  readonly epoch: number
  /** How many consecutive partitions the claim keeps on distinct nodes: the usual number of replicas. */
  readonly n: number
  readonly members: ReadonlyMap<NodeName, Member>
  /** Who owns what now. */
  readonly ring: Ring
  /** Who shall own each partition after all moves; the owners of `ring` if nothing is pending. */
  readonly target: readonly NodeName[]
  /** Partitions that are being handed over now, and to whom. */
  readonly moving: ReadonlyMap<number, NodeName>
  readonly refills: readonly Refill[]
  readonly staged: readonly Change[]
  /** By name of the type. What the bytes mean is known to higher packages. */
  readonly bucketTypes: ReadonlyMap<string, Uint8Array>
  /** The last 100, the newest last. */
  readonly forced: readonly ForcedRecord[]
  /** Ids of the last proposals that were decided, the newest last: so a proposer knows its own, whoever finished it. */
  readonly recent: readonly string[]
}
