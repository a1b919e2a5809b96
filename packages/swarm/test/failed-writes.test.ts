import { createCluster } from '@atoll/node'
import { createWorld } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import { expect, test } from 'vitest'

test('while the database of a node takes no writes others stand in for it, and nothing is lost', async () => {
  const world = createWorld({ seed: 5, disk: { tornByFailure: true } })
  await world.run(
    async () => {
      await using cluster = await createCluster({
        nodes: 5,
        partitions: 16,
        storage: (name) => world.disk(name).open(),
        runtime: (name) => world.runtime(name),
        network: new MemoryNetwork(world.runtime('network'), { delayMs: { min: 0, max: 5 } }),
      })
      const n1 = cluster.node('n1')
      await n1.objects.createBucket('letters')
      const put = (key: string) => n1.objects.put('letters', key, Buffer.from(key))
      for (let at = 0; at < 20; at++) await put(`first${at}`)
      world.disk('n3').failWrites()
      for (let at = 0; at < 60; at++) await put(`second${at}`)
      await world.runtime('n1').clock.sleep(30_000)
      expect(cluster.node('n3').cluster.status().storage.failure).toBeUndefined()
      expect(cluster.node('n3').metrics.value('atoll_vnode_storage_reopened_total')).toBe(1)
      for (let at = 0; at < 20; at++) await put(`third${at}`)
      await cluster.crash('n3')
      await cluster.restart('n3')
      await world.runtime('n1').clock.sleep(30_000)
      const keys = (await cluster.node('n3').objects.list('letters')).objects.map(({ key }) => key)
      expect(keys).toHaveLength(100)
    },
    { maxVirtualMs: 600_000 },
  )
})
