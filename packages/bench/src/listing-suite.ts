import { ofOneKey, ofOwnKeys } from './listing/at-once.ts'
import type { GoalRow } from './listing/goal-report.ts'
import { manyObjects } from './listing/many-objects.ts'
import { prefixesOfFive, prefixesOfOne } from './listing/prefix-pages.ts'
import { reclaimBesideLoad } from './listing/reclaim.ts'
import type { PartOptions } from './parts.ts'

/** What there is much of: objects, common prefixes, puts at once. Each figure stands beside its goal. */
export const listingParts: readonly ((
  onRow: (row: GoalRow) => void,
  options: PartOptions,
) => Promise<void>)[] = [
  manyObjects,
  prefixesOfOne,
  prefixesOfFive,
  ofOneKey(1, 500),
  ofOneKey(3, 300),
  ofOwnKeys(9000),
  reclaimBesideLoad,
]
