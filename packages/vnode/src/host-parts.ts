import type { MergePolicy } from '@atoll/causality'
import type { Lineage } from './incarnation.ts'
import type { Database } from './ports.ts'

/** What a host of vnodes is made of. */
export interface VnodeHostParts {
  /** Opened and closed by the host. It may hold other sublevels beside, written after the host was opened. */
  readonly database: Database
  /** Asked on every request: the answer may change while the host runs. */
  readonly policyOf: (type: string) => MergePolicy
  /**
   * In which line of lives this database is, asked when a vnode gives its first dot. Default is a new line at every open, so
   * that every vnode is a new actor.
   */
  readonly lineage?: (() => Lineage) | undefined
  /**
   * The last that is done before the database is closed, when all writes are on disk. `isSound` is false if a batch has
   * failed since the host was opened: then other nodes may have dots that this database does not know, and no actor
   * goes on.
   */
  readonly beforeClose?: ((life: { readonly isSound: boolean }) => Promise<void>) | undefined
}
