import { isAtollError } from '@atoll/core'
import { type Cluster, createCluster } from '@atoll/node'
import { createWorld, type World } from '@atoll/sim'
import { expect, test } from 'vitest'
import { GuestBook } from '../src/index.ts'

/** Five nodes of which everything comes out of the world: time, chance, network and disks. */
function fiveNodes(world: World): Promise<Cluster> {
  return createCluster({
    nodes: 5,
    runtime: (node) => world.runtime(node),
    storage: (node) => world.disk(node).open(),
    onCrash: (node) => world.disk(node).crash(),
  })
}

/** As a client would: what may work later is tried again later. */
async function patiently<T>(world: World, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!isAtollError(error) || !error.transient) throw error
      await world.runtime('client').clock.sleep(500)
    }
  }
}

/** An evening on which everything goes wrong. It takes seconds of virtual time, and next to none of yours. */
async function evening(world: World): Promise<Record<string, string>> {
  await using cluster = await fiveNodes(world)
  cluster.network.configure({ delayMs: { min: 1, max: 20 } })
  const book = (node: number) => new GuestBook(cluster.node(node).objects)
  await book(1).create()
  await book(1).sign('Ada', 'a calm sea')

  cluster.partition(['n1', 'n2', 'n3', 'n4'], ['n5'])
  await patiently(world, () => book(2).sign('Grace', 'the cable to n5 is cut'))
  cluster.heal()

  await cluster.idle() // two replicas are enough to return; the third is on its way
  await cluster.crash('n2')
  await patiently(world, () => book(3).sign('Edsger', 'n2 has lost its power'))
  await cluster.restart('n2')

  return await patiently(world, () => book(5).read())
}

test('nothing that was signed is lost, whatever the timing', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = createWorld({ seed })
    const entries = await world.run(() => evening(world))
    expect(entries, `seed ${seed}\n${world.timeline().join('\n')}`).toEqual({
      Ada: 'a calm sea',
      Grace: 'the cable to n5 is cut',
      Edsger: 'n2 has lost its power',
    })
  }
})

test('the same seed is the same evening, down to the last event', async () => {
  const hashOf = async (seed: number) => {
    const world = createWorld({ seed })
    await world.run(() => evening(world))
    return world.traceHash()
  }
  expect(await hashOf(7)).toBe(await hashOf(7))
  expect(await hashOf(8)).not.toBe(await hashOf(7))
})
