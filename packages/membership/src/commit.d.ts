import type { ClusterDocument } from './document.ts'
import { type Plan } from './plan.ts'
export interface CommitOptions {
  /**
   * Commits even if replicas would be kept apart worse than now, although the members could keep them all apart. Default
   * false.
   */
  readonly allowViolations?: boolean | undefined
}
/**
 * Does exactly what the plan says: the ring is that of the plan at once, lost nodes are in no list any more, all else
 * begins to move. Nothing is staged afterwards.
 *
 * @throws `ATOLL_STALE_PLAN` if what the plan was made from has changed, `ATOLL_CHANGE_REFUSED` if nothing is staged, or
 * for violations that were not allowed.
 */
export declare function commit(
  document: ClusterDocument,
  plan: Plan,
  options?: CommitOptions,
): ClusterDocument
//# sourceMappingURL=commit.d.ts.map
