import { fromUtf8, shielded, utf8 } from '@atoll/core'
import { type Cluster, createCluster } from '@atoll/node'
import { createWorld, type World } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import { expect, test } from 'vitest'

const ALL = ['n1', 'n2', 'n3', 'n4']
const KEYS = Array.from({ length: 30 }, (_, at) => `k${at}`)

const idOf = (key: string) => ({ type: 'things', bucket: utf8('b'), key: utf8(key) })

interface Story {
  readonly world: World
  readonly cluster: Cluster
}

/** Two of four members are said to be down though they are up, and then one of the two voters loses its disk. */
function told(seed: number, run: (story: Story) => Promise<void>): Promise<void> {
  const world = createWorld({ seed })
  return world.run(async () => {
    const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: 0, max: 2 } })
    await using cluster = await createCluster({
      nodes: ALL,
      partitions: 8,
      network,
      runtime: (name) => shielded(world.runtime(name)),
      storage: (name) => world.disk(name).open(),
      onCrash: (name) => world.disk(name).crash(),
      bucketTypes: { things: { policy: { kind: 'siblings' } } },
      coordinator: { timeoutMs: 2000, attemptTimeoutMs: 500 },
    })
    for (const key of KEYS) await cluster.node('n1').kv.put(idOf(key), { value: utf8(key) })
    await cluster.idle()
    for (const name of ['n2', 'n4']) await cluster.node('n3').cluster.down(name)
    await cluster.crash('n1')
    world.disk('n1').wipe()
    await run({ world, cluster })
  })
}

async function until(world: World, isSo: () => boolean): Promise<void> {
  const { clock } = world.runtime('test')
  const endMs = clock.monotonicMs() + 60_000
  while (!isSo()) {
    if (clock.monotonicMs() > endMs) throw new Error('it does not come about')
    await clock.sleep(100)
  }
}

const isUp = (cluster: Cluster, ...names: string[]) =>
  cluster.nodes.every((node) =>
    names.every((name) => node.cluster.document.members.get(name)?.state === 'valid'),
  )

async function expectWhole({ world, cluster }: Story): Promise<void> {
  await until(world, () => isUp(cluster, ...ALL))
  for (const { cluster: control } of cluster.nodes) await control.settled()
  for (const key of KEYS) {
    const { values } = await cluster.node('n1').kv.get(idOf(key), { repair: true })
    expect(values.map(({ value }) => fromUtf8(value))).toEqual([key])
  }
}

test('those who are there come back by themselves, and let the lost one in', () =>
  told(1, async (story) => {
    const { world, cluster } = story
    await until(world, () => isUp(cluster, 'n2', 'n4'))
    await cluster.restart('n1')
    await expectWhole(story)
  }))

test('where they are not there either, the refusal says where to force it and without whom, and that is enough', () =>
  told(2, async (story) => {
    const { cluster } = story
    for (const name of ['n2', 'n4']) await cluster.stop(name)
    const { message } = await cluster.restart('n1').then(
      () => expect.unreachable('one of two voters is too few'),
      (error: Error) => error,
    )
    expect(message).toContain('Start n1, n2, n4 with the data that they had')
    const [, on = '', missing = ''] = /force the change on (\w+) with missing: ([\w, ]+)/.exec(message) ?? []
    expect({ on, missing }).toEqual({ on: 'n3', missing: 'n1' })
    await cluster.node(on).cluster.force([], { missing: missing.split(', '), reason: 'its disk is lost' })
    await cluster.restart('n1')
    for (const name of ['n2', 'n4']) await cluster.restart(name)
    await expectWhole(story)
  }))
