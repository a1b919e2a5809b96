import { HOUR_MS, KiB } from '@atoll/core'
import { type Cluster, createCluster } from '@atoll/node'
import { createWorld, type World } from '@atoll/sim'
import { expect, test } from 'vitest'

const NAMES = ['n1', 'n2', 'n3']
const BLOCK = 4 * KiB
const FAR_MS = 10 * 365 * 24 * HOUR_MS

async function run<T>(seed: number, work: (cluster: Cluster, world: World) => Promise<T>): Promise<T> {
  const world = createWorld({ seed })
  return await world.run(async () => {
    await using cluster = await createCluster({
      nodes: NAMES.length,
      partitions: 16,
      runtime: (name) => world.runtime(name),
      storage: (name) => world.disk(name).open(),
      onCrash: (name) => world.disk(name).crash(),
      objects: { blockBytes: BLOCK, inlineBytes: 0 },
    })
    await cluster.node('n1').objects.createBucket('reef')
    return await work(cluster, world)
  })
}

const seeds = Array.from({ length: 5 }, (_, at) => at + 1)

test.each(seeds)(
  'what was deleted while a clock was ten years ahead goes when the right ones say so: seed %i',
  async (seed) => {
    await run(seed, async (cluster, world) => {
      const [n1, n2, n3] = [cluster.node('n1'), cluster.node('n2'), cluster.node('n3')]
      world.clockOf('n3').skew(FAR_MS)
      const keys = ['a', 'b', 'c']
      for (const key of keys) await n3.objects.put('reef', key, new Uint8Array(3 * BLOCK))
      const records = (await Promise.all(keys.map((key) => n3.objects.recordsOf('reef', key)))).flat()
      for (const key of keys) await n3.objects.delete('reef', key)
      world.clockOf('n3').skew(0)
      const later = (ms: number) => NAMES.map((name) => world.clockOf(name).skew(ms))
      expect(await n1.objects.collect()).toEqual({ objects: 3, versions: 0, blocks: 0, failed: 0 })
      expect(n1.metrics.value('atoll_objects_future_marks_total')).toBe(3)
      later(23 * HOUR_MS)
      expect(await n2.objects.collect()).toEqual({ objects: 0, versions: 0, blocks: 0, failed: 0 })
      later(25 * HOUR_MS)
      expect(await n2.objects.collect()).toEqual({ objects: 3, versions: 3, blocks: 9, failed: 0 })
      await cluster.idle()
      for (const id of records) expect((await n1.kv.get(id, { repair: true })).values).toEqual([])
    })
  },
)

test.each(seeds)(
  'what a writer whose clock is 30 hours behind replaces or deletes is not taken from its reader: seed %i',
  async (seed) => {
    await run(seed, async (cluster, world) => {
      const [n1, n2, n3] = [cluster.node('n1'), cluster.node('n2'), cluster.node('n3')]
      const late = new Uint8Array(3 * BLOCK)
      const keys = ['replaced', 'deleted']
      for (const key of keys) await n1.objects.put('reef', key, new Uint8Array(20 * BLOCK))
      const bodies = await Promise.all(keys.map(async (key) => (await n1.objects.get('reef', key)).body))
      world.clockOf('n3').skew(-30 * HOUR_MS)
      await n3.objects.put('reef', 'replaced', late)
      await n3.objects.delete('reef', 'deleted')
      expect(await n2.objects.collect()).toMatchObject({ versions: 0, blocks: 0, failed: 0 })
      for (const body of bodies) {
        let bytes = 0
        for await (const chunk of body) bytes += chunk.length
        expect(bytes).toBe(20 * BLOCK)
      }
      for (const name of NAMES) world.clockOf(name).skew(25 * HOUR_MS)
      expect(await n2.objects.collect()).toMatchObject({ versions: 2, blocks: 40, failed: 0 })
    })
  },
)

test.each(seeds)(
  'a collector whose clock is 30 hours fast refuses no upload, and takes no version from its reader: seed %i',
  async (seed) => {
    await run(seed, async (cluster, world) => {
      const [n1, n2] = [cluster.node('n1'), cluster.node('n2')]
      const { clock } = world.runtime('client')
      world.clockOf('n2').skew(30 * HOUR_MS)
      await n1.objects.put('reef', 'read', new Uint8Array(3 * BLOCK))
      const { body } = await n1.objects.get('reef', 'read')
      async function* slow() {
        for (let block = 0; block < 8; block++) {
          yield new Uint8Array(BLOCK)
          await clock.sleep(100)
        }
      }
      const writing = Promise.all(['a', 'b', 'read'].map((key) => n1.objects.put('reef', key, slow())))
      const collected = { versions: 0, blocks: 0 }
      const over = writing.then(() => true)
      for (let ended = false; !ended; ended = await Promise.race([over, clock.sleep(50).then(() => false)])) {
        const { versions, blocks } = await n2.objects.collect()
        collected.versions += versions
        collected.blocks += blocks
      }
      expect(await writing).toHaveLength(3)
      let bytes = 0
      for await (const chunk of body) bytes += chunk.length
      expect(bytes).toBe(3 * BLOCK)
      expect(collected).toEqual({ versions: 0, blocks: 0 })
    })
  },
)
