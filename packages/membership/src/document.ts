import type { NodeName, ReplicaTable, Ring } from '@atoll/ring'
import type { Change } from './changes.ts'
import type { History } from './history.ts'

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
  /**
   * Of the life of that data which it told of last: made at random at each open. Undefined for one that has told of none,
   * since its program does not know of generations, or some other member's does not.
   */
  readonly generation?: string | undefined
  /** Where it listens. */
  readonly address: string
  /** Failure zone; a node without one is a zone of its own. */
  readonly zone?: string | undefined
  readonly state: MemberState
  /** For a member that is down: what it becomes when it is back. */
  readonly upState?: 'valid' | 'leaving' | undefined
}

/**
 * A change of who holds a partition, on its way. Its source reports it done; then it is applied to the list of the
 * partition by itself, so that every quorum of before meets every quorum of after.
 *
 * - `replace`: `to` takes the place of `from` once it has everything and `from` only forwards.
 * - `add`: `to` is appended once all that are `waiting` have copied to it. They stay.
 * - `drop`: `from` leaves the list once `to`, which stays, has everything that `from` had. It stands where `from` stood,
 *   unless it stands before that: bucket types with fewer replicas than the list is long lie on the first ones.
 */
export type Move = { readonly partition: number } & (
  | { readonly kind: 'replace'; readonly from: NodeName; readonly to: NodeName }
  | { readonly kind: 'add'; readonly to: NodeName; readonly waiting: readonly NodeName[] }
  | { readonly kind: 'drop'; readonly from: NodeName; readonly to: NodeName }
)

/** Copies that are still owed to nodes that hold the partitions already. */
export type Refill = RaisedRefill | RestoredRefill

/**
 * n of a bucket type was raised, or a list got shorter and has a node among the first n that was not there before. What is
 * counted on goes up by one at a time, since a majority of k replicas meets every majority of k + 1,
 * but not of k + 2. What was written to `from` replicas is being offered to the next one in each list; until that is done
 * the type is read from `from` replicas.
 */
export interface RaisedRefill {
  readonly id: string
  /** The members that have not offered their copies yet. */
  readonly waiting: readonly NodeName[]
  readonly type: string
  readonly from: number
  /** What n shall be in the end. */
  readonly to: number
}

/** The data of a node is an older copy: it lacks what was written after the copy was made. */
export interface RestoredRefill {
  readonly id: string
  /** The members that have not offered their copies yet. */
  readonly waiting: readonly NodeName[]
  readonly node: NodeName
}

/** A ring that has more partitions than some nodes have filed their records by. */
export interface Resizing {
  /** How many partitions there were. */
  readonly from: number
  /** The members that have not filed their records anew yet, in the order in which they do it. Never empty. */
  readonly waiting: readonly NodeName[]
}

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
  /** What the claim decided last: it makes the lists of replicas, and the order of fallbacks. */
  readonly ring: Ring
  /** The epoch from which on the ring has as many partitions as now; 0 if it never had fewer. */
  readonly resizedAt: number
  readonly resizing: Resizing | undefined
  /** Length of the lists of replicas, in a cluster with that many nodes. */
  readonly width: number
  /** Who holds each partition now, in the order of preference. */
  readonly replicas: ReplicaTable
  /**
   * By partition: the epoch that its list got longer with, for the last time; 0 for never. Empty while no list did. Who
   * goes by the shorter list takes too few replicas for a majority.
   */
  readonly grownAt: readonly number[]
  /** What has to be done until the lists are those of the ring. */
  readonly moves: readonly Move[]
  readonly refills: readonly Refill[]
  readonly staged: readonly Change[]
  /** By name of the type. What the bytes mean is known to higher packages. */
  readonly bucketTypes: ReadonlyMap<string, Uint8Array>
  /** The last 100, the newest last. */
  readonly forced: readonly ForcedRecord[]
  /** Ids of the last proposals that were decided, the newest last: so a proposer knows its own, whoever finished it. */
  readonly recent: readonly string[]
  /** Undefined in a cluster that has, or had, members whose program does not read it. */
  readonly history: History | undefined
}
