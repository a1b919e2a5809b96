import { isAtollError, KiB } from '@atoll/core'
import { type Cluster, createCluster } from '@atoll/node'
import { createWorld, type World } from '@atoll/sim'
import { expect, test } from 'vitest'

const NAMES = ['n1', 'n2', 'n3', 'n4', 'n5']
const BLOCK = 4 * KiB
const SIBLINGS = { policy: { kind: 'siblings' } } as const
const WRITE_ONCE = { policy: { kind: 'write-once' } } as const

async function run<T>(seed: number, work: (cluster: Cluster, world: World) => Promise<T>): Promise<T> {
  const world = createWorld({ seed })
  return await world.run(async () => {
    await using cluster = await createCluster({
      nodes: NAMES.length,
      partitions: 16,
      runtime: (name) => world.runtime(name),
      storage: (name) => world.disk(name).open(),
      onCrash: (name) => world.disk(name).crash(),
      objects: { blockBytes: BLOCK, inlineBytes: 100 },
      bucketTypes: {
        'silver.manifests': { ...SIBLINGS, w: 'all' },
        'silver.blocks': { ...WRITE_ONCE, n: 2 },
      },
    })
    cluster.network.configure({ delayMs: { min: 0, max: 20 } })
    return await work(cluster, world)
  })
}

async function textOf(cluster: Cluster, node: string, key: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await cluster.node(node).objects.get('reef', key)).body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('objects have as many replicas as the types of their bucket say, also when these say more later', async () => {
  await run(1, async (cluster) => {
    const [n1, n2] = [cluster.node('n1'), cluster.node('n2')]
    await n1.cluster.setBucketType('gold.manifests', { ...SIBLINGS, n: 4 })
    await n1.cluster.setBucketType('gold.blocks', { ...WRITE_ONCE, n: 5, dw: 'all' })
    await n1.cluster.settled()
    expect(await n1.objects.createBucket('reef', { type: 'gold' })).toMatchObject({ type: 'gold' })
    await n2.objects.createBucket('lagoon')
    const body = 'coral '.repeat(2000)
    for (const bucket of ['reef', 'lagoon']) await n2.objects.put(bucket, 'a', body)
    await cluster.idle()
    const replicasOf = async (bucket: string) => {
      const records = await n2.objects.recordsOf(bucket, 'a')
      const counted = records.map(async (id) => {
        const census = await n1.cluster.census([id])
        return [...census.values()].reduce((sum, { primary, fallback }) => sum + primary + fallback, 0)
      })
      return await Promise.all(counted)
    }
    expect(await replicasOf('reef')).toEqual([4, 5, 5, 5])
    expect(await replicasOf('lagoon')).toEqual([3, 3, 3, 3])
    await n1.cluster.setBucketType('gold.manifests', { n: 5 })
    await n1.cluster.settled()
    expect(await replicasOf('reef')).toEqual([5, 5, 5, 5])
    for (const node of NAMES) expect(await textOf(cluster, node, 'a')).toBe(body)
  })
})

test('of creations at the same time with different types those of one type succeed, and what is put then is found by all', {
  timeout: 300_000,
}, async () => {
  const winners = new Set<string>()
  for (let seed = 1; seed <= 12; seed++) {
    await run(seed, async (cluster, world) => {
      const { clock, random } = world.runtime('client')
      const create = async (node: string, type: string) => {
        await clock.sleep(random.below(60))
        const { objects } = cluster.node(node)
        try {
          await objects.createBucket('reef', { type })
        } catch (error) {
          if (!isAtollError(error)) throw error
          expect(['ATOLL_BUCKET_EXISTS', 'ATOLL_OVERLOADED']).toContain(error.code)
          return undefined
        }
        await objects.put('reef', node, node.repeat(3000))
        return { node, type }
      }
      await cluster.node('n1').cluster.setBucketType('gold.manifests', SIBLINGS)
      await cluster.node('n1').cluster.setBucketType('gold.blocks', WRITE_ONCE)
      await clock.sleep(2000)
      const types = ['gold', 'silver', 'atoll', 'gold', 'atoll']
      const made = (await Promise.all(NAMES.map((node, at) => create(node, types[at] ?? '')))).filter(
        (one) => one !== undefined,
      )
      expect(new Set(made.map(({ type }) => type)).size).toBeLessThanOrEqual(1)
      for (const { type } of made) winners.add(type)
      for (const node of NAMES)
        for (const one of made) {
          expect(await textOf(cluster, node, one.node)).toBe(one.node.repeat(3000))
          expect(await cluster.node(node).objects.headBucket('reef')).toMatchObject({ type: one.type })
        }
    })
  }
  expect(winners.size, 'not always the same').toBeGreaterThan(1)
})

test('with a primary of its record down a bucket of another type is not created, and the name stays free', async () => {
  await run(1, async (cluster) => {
    for (const name of ['n4', 'n5']) await cluster.crash(name)
    const { objects } = cluster.node('n1')
    const names = Array.from({ length: 8 }, (_, at) => `reef-${at}`)
    const outcomes = await Promise.allSettled(
      names.map((name) => objects.createBucket(name, { type: 'silver' })),
    )
    const refused = names.filter((_, at) => outcomes[at]?.status === 'rejected')
    expect(refused.length).toBeGreaterThan(0)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ transient: true })
    for (const name of ['n4', 'n5']) await cluster.restart(name)
    for (const name of refused) {
      await objects.createBucket(name)
      expect(await cluster.node('n2').objects.headBucket(name)).toMatchObject({ type: 'atoll' })
    }
  })
})
