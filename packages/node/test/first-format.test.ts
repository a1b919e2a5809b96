import { readFileSync } from 'node:fs'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { createCluster } from '../src/index.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

/** What version 0.1.0 noted in each database: cluster 00112233445566ff of n1, n2, n3 with 8 partitions, n1 in zone east. */
const RECORD = Buffer.from(
  readFileSync(new URL('./golden/cluster-record-v1.hex', import.meta.url), 'utf8').trim(),
  'hex',
)

test('a cluster of version 0.1.0 opens, with its ring and its objects, and may change from then on', async () => {
  const databases = new Map<string, MemoryLevel<Uint8Array, Uint8Array>>()
  const storage = (node: string) => {
    const database = databases.get(node) ?? new MemoryLevel({ ...VIEW, storeEncoding: 'view' })
    databases.set(node, database)
    return database
  }
  const first = await createCluster({ nodes: 3, partitions: 8, storage })
  await first.node(1).objects.createBucket('photos')
  await first.node(1).objects.put('photos', 'reef', 'as it was')
  await first.close()
  for (const database of databases.values()) {
    await database.open()
    for (const name of ['document', 'id', 'acceptor']) await database.del(Buffer.from(`!cluster!${name}`))
    await database.put(Buffer.from('!cluster!record'), RECORD)
    await database.close()
  }

  await using cluster = await createCluster({ nodes: 3, partitions: 8, storage })
  expect(cluster.ring.owners).toEqual(['n1', 'n2', 'n3', 'n1', 'n2', 'n3', 'n1', 'n2'])
  const { document } = cluster.node(2).cluster
  expect(document.clusterId).toBe('00112233445566ff')
  expect(document.members.get('n1')).toMatchObject({ zone: 'east', state: 'valid' })
  for (const node of cluster.nodes) {
    const { body } = await node.objects.get('photos', 'reef')
    const chunks: Uint8Array[] = []
    for await (const chunk of body) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toBe('as it was')
  }
  await cluster.add('n4')
  await cluster.node(1).cluster.commit(await cluster.node(1).cluster.plan())
  await cluster.node(1).cluster.settled()
  expect(
    cluster
      .node('n4')
      .cluster.status()
      .members.map(({ state }) => state),
  ).toEqual(Array(4).fill('valid'))
})
