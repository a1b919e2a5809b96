import type { NodeName } from '@atoll/ring'
import type { Change } from './changes.ts'
import type { ClusterDocument } from './document.ts'
/**
 * Adds a change to those that the next plan is made of. A node that joins is a member at once, in state `joining`, so
 * that it hears of everything. Staging what is staged already changes nothing.
 *
 * @throws `ATOLL_CHANGE_REFUSED` if the cluster does not allow it, `TypeError` or `RangeError` for a change that is none.
 */
export declare function stage(document: ClusterDocument, change: Change): ClusterDocument
/**
 * Takes back all that is staged for a node. One that was about to join is no member any more, and what would have made it
 * take the place of another is taken back too. Throws `ATOLL_CHANGE_REFUSED` if nothing is staged for it.
 */
export declare function unstage(document: ClusterDocument, node: NodeName): ClusterDocument
/** Takes back all that is staged. */
export declare function clearStaged(document: ClusterDocument): ClusterDocument
/** What a change does, as in "n4 joins". */
export declare function describeChange(change: Change): string
//# sourceMappingURL=staging.d.ts.map
