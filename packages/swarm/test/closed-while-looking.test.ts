import { createCluster } from '@atoll/node'
import { createWorld } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import { expect, test } from 'vitest'

const NAMES = ['n1', 'n2', 'n3', 'n4']
const KEYS = Array.from({ length: 20 }, (_, at) => `k${at}`)

const DELAY_MS = 4

/** Longer than anything takes that comes to an end. */
const LONG_MS = 300_000

test('a node that is closed while it looks for data to move begins to move none', async () => {
  const world = createWorld({ seed: 1 })
  const test = world.runtime('test')
  await world.run(async () => {
    const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: DELAY_MS, max: DELAY_MS } })
    await using cluster = await createCluster({
      nodes: NAMES,
      partitions: 8,
      network,
      runtime: (name) => world.runtime(name),
      storage: (name) => world.disk(name).open(),
    })
    const [first, , , leaving] = cluster.nodes
    await first!.objects.createBucket('letters')
    for (const key of KEYS) await first!.objects.put('letters', key, key)
    await cluster.idle()
    const { vnodes } = leaving!
    const partitions = vnodes.partitions.bind(vnodes)
    let isLooking = false
    let goOn = () => {}
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    vnodes.partitions = async () => {
      const found = await partitions()
      isLooking = leaving!.cluster.document.moves.length > 0
      if (isLooking) await held
      return found
    }
    await first!.cluster.stage({ kind: 'leave', node: 'n4' })
    await first!.cluster.commit(await first!.cluster.plan())
    while (!isLooking) await test.clock.sleep(1)
    const closing = leaving!.close({ drainMs: 0 }).then(() => 'closed')
    await test.clock.sleep(10)
    goOn()
    // Whatever would begin now begins; and then those who would get the data go away.
    await test.clock.sleep(DELAY_MS / 2)
    for (const name of ['n1', 'n2', 'n3']) network.cut(name)
    const closed = await Promise.race([closing, test.clock.sleep(LONG_MS).then(() => 'closing')])
    for (const name of ['n1', 'n2', 'n3']) network.restore(name)
    expect(closed).toBe('closed')
    const count = (name: string) =>
      [...leaving!.metrics.entries()].flatMap(([full, count]) => (full.startsWith(name) ? count : []))
    expect(count('atoll_handoff_failures_total')).toEqual([])
  })
})
