import { mergeRecords, type StoredRecord } from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import { partitionOf } from '@atoll/ring'
import type { Violation } from '@atoll/sim'
import { nameOf } from './names.ts'
import { newestDocument, type Scene } from './scene.ts'

/**
 * A record that lies on a node which is none of its holders: what a fallback took, or what a former holder still has. A
 * node that holds the partition for other bucket types is none if the record's type has fewer replicas.
 */
export interface Stray {
  readonly node: string
  readonly id: KeyId
  readonly record: StoredRecord
}

export async function findStrays({ cluster }: Pick<Scene, 'cluster'>): Promise<readonly Stray[]> {
  // Those that do not run, since they need each other's word, are started when all is brought to its end.
  if (cluster.nodes.length === 0) return []
  const { replicas, ring } = newestDocument(cluster)
  const strays: Stray[] = []
  for (const node of cluster.nodes) {
    const { bucketTypes, name, runtime, vnodes } = node
    for (const partition of await vnodes.partitions()) {
      for await (const { id, record } of vnodes.fold(partition)) {
        const part = partitionOf(id, ring.partitions, runtime.digest.sha1)
        const holders = replicas[part]?.slice(0, bucketTypes.get(id.type).n) ?? []
        if (!holders.includes(name)) strays.push({ node: name, id, record })
      }
    }
  }
  return strays
}

/** Nodes that have records which they do not hold; damaged ones nobody can be given. */
export async function keepersOfStrays(scene: Scene): Promise<readonly string[]> {
  const strays = await findStrays(scene)
  return strays.map(({ node, id }) => `${node} still has ${nameOf(id)}, and does not hold it`)
}

/** What strayed has come to all who hold it, without anybody having read it. */
export async function checkDelivered(scene: Scene, strays: readonly Stray[]): Promise<readonly Violation[]> {
  const violations: Violation[] = []
  for (const { node, id, record } of strays) {
    const holders = holdersOf(scene, id)
    // Who has become a holder keeps it, as that, and gives it to whom it has noted: `missed` tells if one lacks it who
    // could be noted.
    if (holders.some(({ name }) => name === node)) continue
    for (const holder of holders) {
      const { record: held } = await holder.vnodes.get({ partition: partitionIn(scene, id), id })
      const policy = holder.bucketTypes.policyOf(id.type)
      if (held !== undefined && mergeRecords(policy, held, record) === held) continue
      const message = `${holder.name} does not have what ${node} had for it`
      violations.push({ rule: 'undelivered', key: nameOf(id), message })
    }
  }
  return violations
}

export function partitionIn({ cluster }: Scene, id: KeyId): number {
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('no node runs')
  return partitionOf(id, cluster.ring.partitions, node.runtime.digest.sha1)
}

/** The nodes that hold a record by its bucket type. */
export function holdersOf(scene: Scene, id: KeyId): readonly AtollNode[] {
  const { cluster } = scene
  const [node] = cluster.nodes
  const n = node?.bucketTypes.get(id.type).n ?? 0
  return cluster.placement.primaries(partitionIn(scene, id), n).map((entry) => cluster.node(entry.node))
}
