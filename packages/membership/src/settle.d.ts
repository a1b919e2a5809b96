import type { ClusterDocument } from './document.ts'
/** What follows by itself from a change: a node that leaves and holds nothing is exiting, and owes nothing any more. */
export declare function settle(document: ClusterDocument): ClusterDocument
//# sourceMappingURL=settle.d.ts.map
