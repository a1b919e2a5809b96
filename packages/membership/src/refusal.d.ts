import { AtollError } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import type { ClusterDocument, Member } from './document.ts'
/** Throws `ATOLL_CHANGE_REFUSED` unless the condition holds: `what` shall be done, but `why`. */
export declare function allow(condition: boolean, what: string, why: string): asserts condition
export declare function refused(what: string, why: string): AtollError
/** The member of that name; throws `ATOLL_CHANGE_REFUSED` if there is none. */
export declare function memberOf(document: ClusterDocument, node: NodeName, what: string): Member
//# sourceMappingURL=refusal.d.ts.map
