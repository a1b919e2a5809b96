import { encodeRecord } from '@atoll/causality'
import { fromUtf8, type KeyId, toHex, utf8 } from '@atoll/core'
import type { Change } from '@atoll/membership'
import { type AtollNode, type Cluster, createCluster } from '@atoll/node'
import { partitionOf } from '@atoll/ring'
import { createWorld, type World } from '@atoll/sim'
import { expect, test } from 'vitest'

/** The node that is away while others stand in for it. */
const AWAY = 'n4'
const REST = ['n1', 'n2', 'n3', 'n5']
const TYPE = 'things'
const IDS = Array.from({ length: 64 }, (_, at) => ({
  type: TYPE,
  bucket: utf8('b'),
  key: utf8(`key ${at}`),
}))

function fiveNodes(world: World, hintKeys: number): Promise<Cluster> {
  return createCluster({
    nodes: 5,
    partitions: 16,
    runtime: (node) => world.runtime(node),
    storage: (node) => world.disk(node).open(),
    onCrash: (node) => world.disk(node).crash(),
    bucketTypes: { things: { policy: { kind: 'siblings' } } },
    vnodes: { hintKeys },
  })
}

interface Absence {
  readonly begin: (cluster: Cluster) => Promise<void>
  readonly end: (cluster: Cluster) => Promise<void>
}

const ABSENCES: Readonly<Record<string, Absence>> = {
  'has crashed': {
    begin: (cluster) => cluster.crash(AWAY),
    end: async (cluster) => void (await cluster.restart(AWAY)),
  },
  'is cut off': {
    begin: async (cluster) => cluster.partition(REST, [AWAY]),
    end: async (cluster) => cluster.heal(),
  },
  'has crashed, and never comes back': {
    begin: (cluster) => cluster.crash(AWAY),
    end: async (cluster) => {
      await cluster.forget(AWAY)
      // What was begun with it is decided anew without it.
      await commit(cluster, { kind: 'force-remove', node: AWAY })
    },
  },
}

/** Past so many keys a fallback notes whole partitions. */
const HINT_KEYS = [100_000, 5]

const CHANGES: Readonly<Record<string, (cluster: Cluster) => Promise<void>>> = {
  'nothing changes': async () => {},
  'another node leaves': (cluster) => commit(cluster, { kind: 'leave', node: 'n5' }),
  'another node takes the place of one that stands in': async (cluster) => {
    await cluster.add('n6')
    await commit(cluster, { kind: 'replace', node: 'n5', by: 'n6' })
  },
  'the bucket type gets one more replica': async (cluster) =>
    void (await cluster.node('n1').cluster.setBucketType('things', { n: 4 })),
  'the ring gets more partitions': (cluster) => commit(cluster, { kind: 'resize', partitions: 32 }),
}

/** These make holders of those that stand in. */
const PROMOTING: ReadonlySet<string> = new Set([
  'another node leaves',
  'the bucket type gets one more replica',
])

async function commit(cluster: Cluster, change: Change): Promise<void> {
  const { cluster: control } = cluster.node('n1')
  await control.stage(change)
  await control.commit(await control.plan(), { allowViolations: true })
}

function holdersOf({ bucketTypes, placement, runtime }: AtollNode, id: KeyId): readonly string[] {
  const partition = partitionOf(id, placement.ring.partitions, runtime.digest.sha1)
  return placement.primaries(partition, bucketTypes.get(id.type).n).map(({ node }) => node)
}

/** What a node has of each record, whether it holds that or not; by key. */
async function heldBy({ vnodes }: AtollNode): Promise<ReadonlyMap<string, string>> {
  const held = new Map<string, string>()
  for (const partition of await vnodes.partitions()) {
    for await (const { id, record } of vnodes.fold(partition)) {
      if (id.type !== TYPE) continue
      const { head, body } = encodeRecord(record)
      held.set(fromUtf8(id.key), `${toHex(head)} ${toHex(body)}`)
    }
  }
  return held
}

/** Records that a node has in place of another one: "n3: key 1". */
async function stoodInFor(cluster: Cluster): Promise<readonly string[]> {
  const found: string[] = []
  for (const node of cluster.nodes) {
    const held = await heldBy(node)
    const strays = IDS.filter((id) => held.has(fromUtf8(id.key)) && !holdersOf(node, id).includes(node.name))
    found.push(...strays.map(({ key }) => `${node.name}: ${fromUtf8(key)}`))
  }
  return found
}

/** Records of which `name` of those has become a holder, and the absent node still is one. */
function promoted(cluster: Cluster, before: readonly string[]): readonly string[] {
  const node = cluster.node('n1')
  return before.filter((one) => {
    const [name = '', key] = one.split(': ')
    const id = IDS.find((id) => fromUtf8(id.key) === key)
    const holders = id === undefined ? [] : holdersOf(node, id)
    return holders.includes(name) && holders.includes(AWAY)
  })
}

const owed = ({ nodes }: Cluster) => nodes.flatMap(({ cluster }) => cluster.status().owed)

const sleep = (world: World, delayMs: number) => world.runtime('test').clock.sleep(delayMs)

/** Nobody reads anything for that. */
async function expectWhole(cluster: Cluster): Promise<void> {
  const held = new Map<string, ReadonlyMap<string, string>>()
  for (const node of cluster.nodes) held.set(node.name, await heldBy(node))
  const lacking = IDS.filter((id) => {
    const key = fromUtf8(id.key)
    const values = new Set(holdersOf(cluster.node('n1'), id).map((holder) => held.get(holder)?.get(key)))
    return values.size > 1 || values.has(undefined)
  })
  expect(lacking.map(({ key }) => fromUtf8(key))).toEqual([])
  expect(await stoodInFor(cluster)).toEqual([])
  expect(owed(cluster)).toEqual([])
}

const STORIES = Object.keys(ABSENCES).flatMap((absence) =>
  Object.keys(CHANGES).flatMap((change) => HINT_KEYS.map((hintKeys) => ({ absence, change, hintKeys }))),
)

test.each(STORIES)(
  'what is written while a node $absence comes to all from those who stand in, also if $change ($hintKeys keys)',
  async ({ absence, change, hintKeys }) => {
    const world = createWorld({ seed: 1 })
    await world.run(async () => {
      await using cluster = await fiveNodes(world, hintKeys)
      await ABSENCES[absence]?.begin(cluster)
      // By then all know.
      await sleep(world, 5000)
      const { kv } = cluster.node('n1')
      await Promise.all(IDS.map((id) => kv.put(id, { value: utf8('v') })))
      await cluster.idle()
      const standing = await stoodInFor(cluster)
      expect(standing.length).toBeGreaterThan(0)
      expect(owed(cluster).some(({ partitions }) => partitions > 0)).toBe(hintKeys < IDS.length)
      expect(owed(cluster)).not.toEqual([])
      await CHANGES[change]?.(cluster)
      await sleep(world, 10_000)
      await ABSENCES[absence]?.end(cluster)
      await sleep(world, 30_000)
      if (PROMOTING.has(change) && !/never/.test(absence)) expect(promoted(cluster, standing)).not.toEqual([])
      await expectWhole(cluster)
    })
  },
)

test('when all is given back nothing is owed any more, without a pause', async () => {
  const world = createWorld({ seed: 1 })
  await world.run(async () => {
    await using cluster = await fiveNodes(world, 100_000)
    await cluster.crash(AWAY)
    await sleep(world, 5000)
    const { kv } = cluster.node('n1')
    await Promise.all(IDS.map((id) => kv.put(id, { value: utf8('v') })))
    await cluster.idle()
    expect(owed(cluster)).not.toEqual([])
    await cluster.restart(AWAY)
    while ((await stoodInFor(cluster)).length > 0) await sleep(world, 100)
    await sleep(world, 1000)
    expect(owed(cluster)).toEqual([])
    const gauges = cluster.nodes.map(({ metrics }) => metrics.value('atoll_vnode_hinted_keys'))
    expect(new Set(gauges)).toEqual(new Set([0]))
  })
})
