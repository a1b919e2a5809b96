import { type NodeName, type Ring } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'
import { type Layout } from './layout.ts'
import { type AfterLosses } from './losses.ts'
import type { Outcome } from './outcome.ts'
/** Who shall own each partition, and what the claim says of that. */
export interface Target {
  readonly owners: readonly NodeName[]
  readonly movedPartitions: number
  readonly leastPartitions: number
}
/**
 * A replacement takes exactly the partitions of the node that it replaces; anything else is up to the claim, which moves as
 * little as it can.
 */
export declare function chooseTarget({ ring, n, staged }: ClusterDocument, outcome: Outcome): Target
export interface Consequences {
  readonly ring: Ring
  readonly layout: AfterLosses
  /** The moves that were not pending before. */
  readonly created: Layout['moves']
  /** Copies that would have to be made in any layout in which each node holds as much. */
  readonly leastCopies: number
}
/** What happens to lists and moves when partitions are claimed by these owners. */
export declare function consequencesOf(
  document: ClusterDocument,
  { lost, members }: Outcome,
  owners: readonly NodeName[],
): Consequences
//# sourceMappingURL=target.d.ts.map
