import type { NodeName } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'
/**
 * A member that will not be back soon: it is not asked any more, nor for its vote. It stays in all lists; nobody waits for
 * what it has to copy, unless nobody else has it. Throws `ATOLL_CHANGE_REFUSED` for the last voter, and for a member that
 * is neither valid nor leaving.
 */
export declare function markDown(document: ClusterDocument, node: NodeName): ClusterDocument
/** A member that was marked down is back. It has to copy, too, what is being copied from the lists that it is in. */
export declare function markUp(document: ClusterDocument, node: NodeName): ClusterDocument
export declare function setAddress(
  document: ClusterDocument,
  node: NodeName,
  address: string,
): ClusterDocument
//# sourceMappingURL=member-edits.d.ts.map
