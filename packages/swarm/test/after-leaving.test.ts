import { createCluster } from '@atoll/node'
import { createWorld } from '@atoll/sim'
import { expect, test } from 'vitest'

const LONG_MS = 60_000

test('a node that has left probes nobody, and says nothing of those who do not answer it any more', async () => {
  const world = createWorld({ seed: 1 })
  await world.run(async () => {
    await using cluster = await createCluster({
      nodes: 4,
      partitions: 8,
      runtime: (node) => world.runtime(node),
      storage: (node) => world.disk(node).open(),
    })
    const [first, , , last] = cluster.nodes
    await first!.cluster.stage({ kind: 'leave', node: 'n4' })
    await first!.cluster.commit(await first!.cluster.plan())
    await last!.left
    const probes = () =>
      [...last!.metrics.entries()].flatMap(([name, count]) =>
        name.startsWith('atoll_gossip_probes_total') ? count : [],
      )
    const before = probes()
    expect(before.some((count) => count > 0)).toBe(true)
    await world.runtime('test').clock.sleep(LONG_MS)
    expect(probes()).toEqual(before)
    const said = world.timeline().filter((line) => /n4 \w+: peer is (suspect|dead)/.test(line))
    expect(said).toEqual([])
    await cluster.forget('n4')
  })
})
