import { createRing, type NodeName, type Ring } from '@atoll/ring'
import type { Member } from './document.ts'

type Members = ReadonlyMap<NodeName, Member>

export function zonesOf(members: Members): ReadonlyMap<NodeName, string> {
  return new Map(
    [...members.values()].flatMap(({ node, zone }) => (zone === undefined ? [] : [[node, zone] as const])),
  )
}

/** A ring of these owners with the zones of the members. */
export function ringOf(owners: readonly NodeName[], members: Members): Ring {
  return createRing({ partitions: owners.length, owners, zones: zonesOf(members) })
}

/** In how many failure zones the nodes are. A node without a zone is one of its own. */
export function numberOfZones(nodes: readonly NodeName[], zones: Ring['zones']): number {
  const named = nodes.flatMap((node) => zones.get(node) ?? [])
  return nodes.length - named.length + new Set(named).size
}
