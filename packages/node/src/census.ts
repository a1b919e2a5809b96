import type { KeyId } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import { partitionOf } from '@atoll/ring'
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
  const { placement } = node
  const count = { primary: 0, fallback: 0 }
  for (const id of ids) {
    const partition = partitionOf(id, placement.ring.partitions, node.runtime.digest.sha1)
    const filed = partitionOf(id, node.vnodes.filed, node.runtime.digest.sha1)
    const { record } = await node.vnodes.get({ partition: filed, id })
    if (record === undefined) continue
    const holders = placement.primaries(partition, node.bucketTypes.get(id.type).n)
    count[holders.some((holder) => holder.node === node.name) ? 'primary' : 'fallback'] += 1
  }
  return count
}
