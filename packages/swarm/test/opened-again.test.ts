import { createCluster } from '@atoll/node'
import { createWorld } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import { expect, test } from 'vitest'

const NAMES = ['n1', 'n2', 'n3', 'n4']
const KEYS = Array.from({ length: 8 }, (_, at) => `k${at}`)

/** Longer than a node waits for the others when it opens: each message takes so long. */
const SLOW = { min: 80, max: 120 }

test('a cluster that is opened again as a whole answers at once, however slow it is', async () => {
  for (let seed = 1; seed <= 3; seed++) {
    const world = createWorld({ seed })
    await world.run(async () => {
      const open = () =>
        createCluster({
          nodes: NAMES,
          partitions: 16,
          network: new MemoryNetwork(world.runtime('network'), { delayMs: SLOW }),
          runtime: (name) => world.runtime(name),
          storage: (name) => world.disk(name).open(),
        })
      {
        await using cluster = await open()
        await cluster.node(1).objects.createBucket('letters')
        for (const key of KEYS) await cluster.node(1).objects.put('letters', key, key)
        await cluster.idle()
      }
      await using cluster = await open()
      const reading = cluster.nodes.flatMap(({ objects }) =>
        KEYS.map(async (key) => (await objects.head('letters', key)).size),
      )
      expect(await Promise.all(reading)).toEqual(reading.map(() => 2))
    })
  }
})
