import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Member } from './document.ts'
/** What the staged changes make of the members. */
export interface Outcome {
  readonly members: ReadonlyMap<NodeName, Member>
  /** Who shall hold partitions, in the order of their names. */
  readonly claimants: readonly Member[]
  /** Nodes whose partitions go to another one as they are. */
  readonly relabelled: ReadonlyMap<NodeName, NodeName>
  /** Those that take their places. */
  readonly successors: ReadonlySet<NodeName>
  /** Nodes whose data is lost. */
  readonly lost: ReadonlySet<NodeName>
}
/** Throws `ATOLL_CHANGE_REFUSED` if nobody would be left to hold partitions. */
export declare function outcomeOf({ members, staged }: ClusterDocument): Outcome
//# sourceMappingURL=outcome.d.ts.map
