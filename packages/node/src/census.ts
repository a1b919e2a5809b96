import type { KeyId } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import { Placement, partitionOf } from '@atoll/ring'
import type { AtollNode } from './atoll-node.ts'

/** Replicas of some records, by the node that holds them. */
export type Census = ReadonlyMap<NodeName, { readonly primary: number; readonly fallback: number }>

/** Asks every node's own storage, not the network: what is counted is there. */
export async function countReplicas(nodes: readonly AtollNode[], ids: readonly KeyId[]): Promise<Census> {
  const census = new Map<NodeName, { primary: number; fallback: number }>()
  for (const node of nodes) census.set(node.name, await countOn(node, ids))
  return census
}

async function countOn(
  node: AtollNode,
  ids: readonly KeyId[],
): Promise<{ primary: number; fallback: number }> {
  const placement = new Placement(node.ring)
  const count = { primary: 0, fallback: 0 }
  for (const id of ids) {
    const n = node.bucketTypes.get(id.type).n
    const slice = partitionOf(id, node.ring.partitions, node.runtime.digest.sha1)
    for (const { partition, node: owner } of placement.primaries(slice, n)) {
      const { record } = await node.vnodes.get({ partition, id })
      if (record !== undefined) count[owner === node.name ? 'primary' : 'fallback'] += 1
    }
  }
  return count
}
