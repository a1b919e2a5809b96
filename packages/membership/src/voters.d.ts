import type { NodeName } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'
/** The members that decide the next epoch by majority: those that are valid or leaving. In the order of their names. */
export declare function votersOf({ members }: ClusterDocument): readonly NodeName[]
export declare function isMajority(some: number, all: number): boolean
//# sourceMappingURL=voters.d.ts.map
