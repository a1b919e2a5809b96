import type { NodeName, ReplicaTable, Ring } from '@atoll/ring'
import { numberOfZones } from './zones.ts'

/** A partition whose first n replicas are on fewer nodes, or in fewer failure zones, than they could be. */
export interface SpacingViolation {
  readonly partition: number
  readonly kind: 'node' | 'zone'
  /** Who holds those replicas. */
  readonly nodes: readonly NodeName[]
  /** On how many nodes, or in how many zones, they are. */
  readonly distinct: number
  /** For nodes n. For zones n, or all zones where there are fewer. A node without a zone is one of its own. */
  readonly wanted: number
}

/** Where lists of replicas fall short, by partition, nodes before zones. */
export function spacingViolations(
  lists: ReplicaTable,
  { n, zones }: { readonly n: number; readonly zones: Ring['zones'] },
): readonly SpacingViolation[] {
  const wantedZones = Math.min(n, numberOfZones([...new Set(lists.flat())], zones))
  return lists.flatMap((list, partition) => {
    const nodes = list.slice(0, n)
    const counts = [
      { kind: 'node', distinct: new Set(nodes).size, wanted: n },
      { kind: 'zone', distinct: numberOfZones(nodes, zones), wanted: Math.min(nodes.length, wantedZones) },
    ] as const
    return counts
      .filter(({ distinct, wanted }) => distinct < wanted)
      .map((count) => ({ partition, nodes, ...count }))
  })
}
