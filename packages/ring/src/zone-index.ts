import type { NodeName } from './ring.ts'

/**
 * Numbers the zones of `nodes` from 0, in the order of first appearance. A node without a zone gets a number of its
 * own, so that no zone name can collide with the name of a node.
 */
export function numberZones(nodes: readonly NodeName[], zones: ReadonlyMap<NodeName, string>): Uint16Array {
  const numbers = new Uint16Array(nodes.length)
  const known = new Map<string, number>()
  let next = 0
  for (const [at, node] of nodes.entries()) {
    const zone = zones.get(node)
    const number = (zone === undefined ? undefined : known.get(zone)) ?? next++
    if (zone !== undefined) known.set(zone, number)
    numbers[at] = number
  }
  return numbers
}
