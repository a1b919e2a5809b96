import type { NodeName, ReplicaTable } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'
import { type Layout } from './layout.ts'
export interface AfterLosses extends Layout {
  /** Partitions of which nobody holds a copy any more. */
  readonly lost: readonly number[]
}
/**
 * Takes nodes that are lost with their data out of all lists, at once, so that quorums are counted among the others. A node
 * that was about to take the place of one gets copies from all others instead. Where nobody is left, a wanted node begins
 * with nothing.
 */
export declare function withoutLost(
  layout: Layout,
  lost: ReadonlySet<NodeName>,
  after: {
    readonly wanted: ReplicaTable
    readonly members: ClusterDocument['members']
  },
): AfterLosses
//# sourceMappingURL=losses.d.ts.map
