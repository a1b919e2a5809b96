import { MiB, utf8 } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type Cluster, createCluster } from '../src/index.ts'

const IDS = ['a', 'b', 'c'].map((key) => ({ type: 'default', bucket: utf8('b'), key: utf8(key) }))

/** Looks until it is so; the test's own time limit ends it otherwise. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** Whether all holders of every record have both writes, and nobody else has any. */
async function isEverywhere(cluster: Cluster): Promise<boolean> {
  for (const id of IDS) {
    for (const { name, placement, runtime, vnodes } of cluster.nodes) {
      const partition = partitionOf(id, placement.ring.partitions, runtime.digest.sha1)
      const isHolder = placement.primaries(partition, 3).some(({ node }) => node === name)
      const { record } = await vnodes.get({ partition, id })
      if ((record?.siblings.length ?? 0) !== (isHolder ? 2 : 0)) return false
    }
  }
  return true
}

test('two sides of a partition write 5 MiB each to one key; healed, all replicas are equal, and a node can leave', async () => {
  const view = { keyEncoding: 'view', valueEncoding: 'view', storeEncoding: 'view' } as const
  const storage = () => new MemoryLevel<Uint8Array, Uint8Array>(view)
  await using cluster = await createCluster({ nodes: 5, partitions: 8, storage })
  const [small, large] = [
    ['n1', 'n2'],
    ['n3', 'n4', 'n5'],
  ]
  if (small === undefined || large === undefined) throw new Error('two sides')
  cluster.partition(small, large)
  const sees = (node: string, others: readonly string[]) =>
    others.some((other) => cluster.node(node).isUp(other))
  await until(() => !sees('n1', large) && !sees('n3', small))
  for (const node of ['n1', 'n3'])
    for (const id of IDS)
      await cluster.node(node).kv.put(id, { value: new Uint8Array(5 * MiB).fill(node.charCodeAt(1)) })
  cluster.heal()
  await until(() => !cluster.nodes.some((node) => cluster.names.some((other) => !node.isUp(other))))
  for (const id of IDS) {
    const { values } = await cluster.node('n2').kv.get(id, { repair: true })
    expect(values.map(({ value }) => value.length)).toEqual([5 * MiB, 5 * MiB])
  }
  await until(() => isEverywhere(cluster))

  const { cluster: control } = cluster.node('n1')
  await control.stage({ kind: 'leave', node: 'n5' })
  await control.commit(await control.plan())
  await control.settled({ signal: AbortSignal.timeout(150_000) })
  await until(() => isEverywhere(cluster))
})
