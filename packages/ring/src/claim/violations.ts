import type { Problem } from './problem.ts'

/** A preference list that is not simply the next n partitions, since those repeat a node or a zone. */
export interface ClaimViolation {
  /** The first of the n consecutive partitions. */
  readonly partition: number
  readonly kind: 'node' | 'zone'
  /** How many distinct nodes or zones the n partitions have. */
  readonly distinct: number
  /** How many they should have: n, or all nodes or zones where there are fewer. */
  readonly wanted: number
}

/** By partition, nodes before zones. */
export function findViolations(problem: Problem, owners: Int16Array, n: number): ClaimViolation[] {
  const zoneOf = (owner: number): number => problem.zone[owner] ?? 0
  const violations: ClaimViolation[] = []
  for (const partition of owners.keys()) {
    const window = Array.from({ length: n }, (_, step) => owners[(partition + step) % owners.length] ?? 0)
    const nodes = new Set(window).size
    const zones = new Set(window.map(zoneOf)).size
    const wantedNodes = Math.min(n, problem.nodes, owners.length)
    const wantedZones = Math.min(n, problem.zones, owners.length)
    if (nodes < wantedNodes)
      violations.push({ partition, kind: 'node', distinct: nodes, wanted: wantedNodes })
    if (zones < wantedZones)
      violations.push({ partition, kind: 'zone', distinct: zones, wanted: wantedZones })
  }
  return violations
}

/** How many consecutive partitions are always on distinct nodes and in distinct zones, up to `most`. */
export function spacingOf(
  problem: Problem,
  owners: Int16Array,
  most: number,
): { readonly target: number; readonly zoneTarget: number } {
  const zones = owners.map((owner) => problem.zone[owner] ?? 0)
  return { target: smallestGap(owners, most), zoneTarget: smallestGap(zones, most) }
}

function smallestGap(values: Int16Array, most: number): number {
  const { length } = values
  for (let gap = 1; gap < Math.min(most, length); gap++) {
    if (values.some((value, at) => value === values[(at + gap) % length])) return gap
  }
  return Math.min(most, length)
}
