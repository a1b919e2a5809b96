import type { ReplicaTable } from '@atoll/ring'
import type { ClusterDocument } from './document.ts'
import { type Layout } from './layout.ts'

type Members = ClusterDocument['members']
/**
 * Sets new goals: as few moves as lead from what is pending already to the wanted lists. As sets, that is: the order of a
 * list is kept. What has begun is finished first, since its source may have stopped to serve; only additions, whose
 * sources go on, are given up.
 */
export declare function retarget(layout: Layout, wanted: ReplicaTable, members: Members): Layout
//# sourceMappingURL=retarget.d.ts.map
