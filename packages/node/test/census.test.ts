import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { createCluster } from '../src/index.ts'

const storage = () =>
  new MemoryLevel<Uint8Array, Uint8Array>({
    keyEncoding: 'view',
    valueEncoding: 'view',
    storeEncoding: 'view',
  })

test('any node tells how many replicas each member holds, and leaves out who does not answer', async () => {
  await using cluster = await createCluster({ nodes: 3, storage, partitions: 8 })
  const node = cluster.node('n2')
  await node.objects.createBucket('letters')
  await node.objects.put('letters', 'long', new Uint8Array(3_000_000))
  const ids = await node.objects.recordsOf('letters', 'long')
  expect(ids).toHaveLength(4)
  const census = await node.cluster.census(ids)
  expect([...census.keys()]).toEqual(['n1', 'n2', 'n3'])
  expect([...census.values()].map(({ primary, fallback }) => primary + fallback)).toEqual([4, 4, 4])
  expect(await cluster.node('n3').cluster.census(ids)).toEqual(census)
  await cluster.crash('n1')
  expect([...(await node.cluster.census(ids)).keys()]).toEqual(['n2', 'n3'])
})

test('a minority goes on by force with plain changes, plans them and commits', async () => {
  await using cluster = await createCluster({ nodes: 3, storage, partitions: 8 })
  await cluster.crash('n2')
  await cluster.crash('n3')
  const { cluster: control } = cluster.node('n1')
  const missing = ['n2', 'n3']
  const removals = missing.map((node) => ({ kind: 'force-remove' as const, node }))
  const forced = await control.force(removals, { missing, reason: 'the machines burnt' })
  expect(forced.staged).toEqual(removals)
  expect(missing.map((node) => forced.members.get(node)?.state)).toEqual(['down', 'down'])
  expect(forced.forced.at(-1)).toMatchObject({ by: 'n1', missing, reason: 'the machines burnt' })
  await control.commit(await control.plan())
  await control.settled()
  expect(control.status().members.map(({ node }) => node)).toEqual(['n1'])
})
