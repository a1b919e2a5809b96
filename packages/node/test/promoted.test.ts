import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type Cluster, createCluster } from '../src/index.ts'

const storage = () =>
  new MemoryLevel<Uint8Array, Uint8Array>({
    keyEncoding: 'view',
    valueEncoding: 'view',
    storeEncoding: 'view',
  })

const utf8 = (text: string) => new TextEncoder().encode(text)
const ids = Array.from({ length: 40 }, (_, at) => {
  return { type: 'notes', bucket: utf8('b'), key: utf8(`key ${at}`) }
})

const open = () => createCluster({ nodes: 3, storage, partitions: 8 })

/** Forty records of two replicas each, in lists of three nodes. */
async function written(cluster: Cluster) {
  const node = cluster.node('n2')
  await node.cluster.setBucketType('notes', { n: 2, w: 2 })
  for (const id of ids) await node.kv.put(id, { value: utf8('once') })
  return node
}

const ways = {
  leaves: { kind: 'leave', node: 'n1' },
  'is lost': { kind: 'force-remove', node: 'n1' },
} as const

for (const [way, change] of Object.entries(ways)) {
  test(`records of two replicas have two again when one of three nodes ${way}`, async () => {
    await using cluster = await open()
    const node = await written(cluster)
    if (change.kind === 'force-remove') await cluster.crash('n1')
    await node.cluster.stage(change)
    await node.cluster.commit(await node.cluster.plan())
    await node.cluster.settled()
    const census = await node.cluster.census(ids)
    expect(['n2', 'n3'].map((name) => census.get(name)?.primary)).toEqual([ids.length, ids.length])
    await cluster.crash('n3')
    for (const id of ids) expect((await node.kv.get(id, { r: 1 })).values).toHaveLength(1)
  })
}
