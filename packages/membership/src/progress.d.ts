import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Move } from './document.ts'
import { type Layout } from './layout.ts'
/** A move of which a source has done its part. */
export interface Handed {
  readonly partition: number
  readonly kind: Move['kind']
  readonly to: NodeName
}
/**
 * `source` has done its part of these moves. A replacement or a drop is over with that; an addition when nobody has to copy
 * any more. A node that leaves, and is in no list any more, is exiting.
 *
 * @throws `ATOLL_CHANGE_REFUSED` unless each of them is a move of `source` that could begin.
 */
export declare function handed(
  document: ClusterDocument,
  source: NodeName,
  done: readonly Handed[],
): ClusterDocument
/** The move is done: its partition has another list. What others wait for from a node that went, they get from its heir. */
export declare function finish(layout: Layout, move: Move): Layout
/** `source` has offered all its copies for these refills. Those of which it owed nothing are left out. */
export declare function refilled(
  document: ClusterDocument,
  source: NodeName,
  ids: readonly string[],
): ClusterDocument
/** A node that is exiting and has nothing left is a member no more. One that is none already changes nothing. */
export declare function exited(document: ClusterDocument, node: NodeName): ClusterDocument
//# sourceMappingURL=progress.d.ts.map
