import { createHash } from 'node:crypto'
import { encodeRecord } from '@atoll/causality'
import type { Replicas } from '@atoll/coordinator'
import { AtollError, KiB, utf8 } from '@atoll/core'
import type { Change } from '@atoll/membership'
import { type AtollNode, type Cluster, type ClusterOptions, createCluster } from '@atoll/node'
import { BLOCKS_TYPE } from '@atoll/objects'
import { createWorld, type Prng, runSeeds, type World } from '@atoll/sim'
import { type Connection, type Frame, MemoryNetwork } from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import { UNNOTED, UNNOTED_CHANGES } from '../src/damage.ts'
import { passing } from '../src/mutants.ts'
import { nameOf } from '../src/names.ts'
import { DRAWS } from '../src/options.ts'
import { houseScenario } from '../src/scenario.ts'

const HOUR_MS = 3_600_000
const NAMES = Array.from({ length: 20 }, (_, at) => `${at}`)

/** Nodes with a disk each; objects of two blocks, blocks of 4 KiB. */
function nodesOf(world: World, more: Partial<ClusterOptions>): Promise<Cluster> {
  return createCluster({
    nodes: 3,
    partitions: 8,
    runtime: (node) => world.runtime(node),
    storage: (node) => world.disk(node).open(),
    onCrash: (node) => world.disk(node).crash(),
    objects: { blockBytes: 4 * KiB, inlineBytes: 256 },
    ...more,
  })
}

const bodyOf = (text: string) => new Uint8Array(6 * KiB).fill(text.length, 1)

async function putAll(cluster: Cluster, prefix: string, text: string): Promise<void> {
  const { objects } = aliveIn(cluster)
  for (const name of NAMES) await objects.put('reef', `${prefix}${name}`, bodyOf(text))
}

/** What each node has: a digest for every record, tombstones among them. */
async function heldBy(cluster: Cluster): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const held = new Map<string, Map<string, string>>()
  for (const node of cluster.nodes) {
    const records = new Map<string, string>()
    for (const partition of await node.vnodes.partitions()) {
      for await (const { id, record } of node.vnodes.fold(partition)) {
        const { head, body } = encodeRecord(record)
        records.set(nameOf(id), createHash('sha1').update(head).update(body).digest('hex'))
      }
    }
    held.set(node.name, records)
  }
  return held
}

/** Blocks that are no tombstones, by node. */
async function blocksOf(cluster: Cluster): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>()
  for (const node of cluster.nodes) {
    let blocks = 0
    for (const partition of await node.vnodes.partitions()) {
      for await (const { id, record } of node.vnodes.fold(partition)) {
        if (id.type === BLOCKS_TYPE && record.siblings.some(({ tombstone }) => !tombstone)) blocks += 1
      }
    }
    counts.set(node.name, blocks)
  }
  return counts
}

function differing(held: Awaited<ReturnType<typeof heldBy>>): readonly string[] {
  const keys = new Set([...held.values()].flatMap((records) => [...records.keys()]))
  return [...keys].filter((key) => new Set([...held.values()].map((records) => records.get(key))).size > 1)
}

/** 20 objects are deleted, 20 are written, 20 are overwritten; what was deleted and what was replaced is collected. */
async function change(world: World, cluster: Cluster): Promise<void> {
  const { objects } = aliveIn(cluster)
  for (const name of NAMES) await objects.delete('reef', `deleted${name}`)
  await putAll(cluster, 'written', 'cc')
  await putAll(cluster, 'overwritten', 'ddd')
  await objects.collect({ now: world.runtime('n1').clock.wallMs() + 48 * HOUR_MS })
  await cluster.idle()
}

async function prepare(cluster: Cluster): Promise<void> {
  await aliveIn(cluster).objects.createBucket('reef')
  await putAll(cluster, 'deleted', 'a')
  await putAll(cluster, 'overwritten', 'b')
  await cluster.idle()
}

function aliveIn({ nodes: [node] }: Cluster): AtollNode {
  if (node === undefined) throw new Error('no node runs')
  return node
}

const sleep = (world: World, delayMs: number) => world.runtime('test').clock.sleep(delayMs)

/** What each node still owes to others. */
function owed(cluster: Cluster): number {
  return cluster.nodes.reduce((sum, { vnodes }) => sum + vnodes.hints.all().length, 0)
}

/** Nobody reads anything: what a node missed comes to it all the same, within seconds. */
async function expectWhole(world: World, cluster: Cluster): Promise<void> {
  await sleep(world, 20_000)
  expect(differing(await heldBy(cluster))).toEqual([])
  // Blocks of 20 objects that were written, and of 20 that were overwritten.
  expect(new Set((await blocksOf(cluster)).values())).toEqual(new Set([80]))
  expect(owed(cluster)).toBe(0)
}

interface Story {
  readonly world: World
  readonly cluster: Cluster
}

function story(more: Partial<ClusterOptions>, tell: (story: Story) => Promise<void>): () => Promise<void> {
  return async () => {
    const world = createWorld({ seed: 1 })
    await world.run(async () => {
      await using cluster = await nodesOf(world, more)
      await prepare(cluster)
      await tell({ world, cluster })
    })
  }
}

describe('what one of three nodes missed', () => {
  test(
    'is given back when it returns, without a read',
    story({}, async ({ world, cluster }) => {
      await cluster.crash('n3')
      await change(world, cluster)
      expect(differing(await heldBy(cluster))).toEqual([])
      await cluster.restart('n3')
      await expectWhole(world, cluster)
    }),
  )

  test(
    'is noted on disk: those who took it may restart meanwhile',
    story({}, async ({ world, cluster }) => {
      await cluster.crash('n3')
      await change(world, cluster)
      for (const node of ['n1', 'n2']) {
        await cluster.crash(node)
        await cluster.restart(node)
      }
      expect(owed(cluster)).toBeGreaterThan(0)
      await cluster.restart('n3')
      await expectWhole(world, cluster)
    }),
  )

  test.each(['n1', 'n2'])('is given back by one of the others if %s is gone by then', (gone) =>
    story({}, async ({ world, cluster }) => {
      await cluster.crash('n3')
      await change(world, cluster)
      await cluster.crash(gone)
      await cluster.restart('n3')
      await sleep(world, 20_000)
      expect(differing(await heldBy(cluster))).toEqual([])
      await cluster.restart(gone)
      await expectWhole(world, cluster)
    })(),
  )

  test(
    'is offered by both of the others, and sent once',
    story({}, async ({ world, cluster }) => {
      await cluster.crash('n3')
      await change(world, cluster)
      const noted = ['n1', 'n2'].map((node) =>
        cluster
          .node(node)
          .vnodes.hints.all()
          .reduce((sum, { keys }) => sum + keys, 0),
      )
      await cluster.restart('n3')
      await expectWhole(world, cluster)
      const sent = cluster.nodes.map(({ metrics }) =>
        metrics.value('atoll_handoff_records_total', { kind: 'refill', direction: 'out' }),
      )
      // Deleted, written, overwritten: a manifest each, and the two blocks of each version.
      expect(noted).toEqual([220, 220])
      expect(sent.reduce((sum, one) => sum + one, 0)).toBe(220)
    }),
  )

  test(
    'is owed as whole partitions when it is too much to be noted by key',
    story({ vnodes: { hintKeys: 20 } }, async ({ world, cluster }) => {
      await cluster.crash('n3')
      await change(world, cluster)
      const hints = cluster.node('n1').vnodes.hints.all()
      expect(hints.filter(({ isWhole }) => isWhole).length).toBeGreaterThan(0)
      expect(hints.reduce((sum, { keys }) => sum + keys, 0)).toBeLessThanOrEqual(20)
      await cluster.restart('n3')
      await expectWhole(world, cluster)
    }),
  )

  test(
    'is given back although it was only cut off',
    story({}, async ({ world, cluster }) => {
      cluster.partition(['n1', 'n2'], ['n3'])
      await change(world, cluster)
      cluster.heal()
      await expectWhole(world, cluster)
    }),
  )

  test(
    'comes to the node that takes its place, whoever of the two is given it',
    story({}, async ({ world, cluster }) => {
      await cluster.crash('n3')
      await change(world, cluster)
      await cluster.restart('n3')
      await cluster.add('n4')
      await commit(cluster, { kind: 'replace', node: 'n3', by: 'n4' })
      await aliveIn(cluster).cluster.settled()
      await cluster.forget('n3')
      await expectWhole(world, cluster)
    }),
  )

  test(
    'comes to the node that takes its place when it is lost, and is not kept for it',
    story({}, async ({ world, cluster }) => {
      await cluster.crash('n3')
      await change(world, cluster)
      await cluster.add('n4')
      await commit(cluster, { kind: 'force-replace', node: 'n3', by: 'n4' })
      await cluster.forget('n3')
      await aliveIn(cluster).cluster.settled()
      await expectWhole(world, cluster)
    }),
  )

  test(
    'comes to it after the ring has got more partitions, too',
    story({}, async ({ world, cluster }) => {
      cluster.partition(['n1', 'n2'], ['n3'])
      await change(world, cluster)
      await commit(cluster, { kind: 'resize', partitions: 16 })
      await sleep(world, 5000)
      expect(owed(cluster)).toBeGreaterThan(0)
      cluster.heal()
      await aliveIn(cluster).cluster.settled()
      await expectWhole(world, cluster)
    }),
  )

  test('is noted by those who know how: a node of before is not asked to', async () => {
    const world = createWorld({ seed: 1 })
    await world.run(async () => {
      const network = new MemoryNetwork(world.runtime('network'))
      await using cluster = await nodesOf(world, { network: withoutCapability(network, 'n2', 'hints') })
      await prepare(cluster)
      await cluster.crash('n3')
      await change(world, cluster)
      expect(cluster.node('n2').vnodes.hints.all()).toEqual([])
      await cluster.restart('n3')
      await expectWhole(world, cluster)
    })
  })
})

test(
  'nobody notes anything while all are there',
  story({}, async ({ world, cluster }) => {
    await change(world, cluster)
    expect(cluster.nodes.map(({ metrics }) => metrics.value('atoll_vnode_hints_total'))).toEqual([0, 0, 0])
  }),
)

test.each([3, 5])(
  'of %s nodes, one is up and does not take every third write: it gets them without a read',
  async (nodes) => {
    let writes = 0
    const replicas = (_: string, through: Replicas): Replicas => ({
      ...passing(through),
      put: (target, ...rest) => {
        const isLost = target.node === 'n3' && ++writes % 3 === 0
        return isLost ? Promise.reject(new AtollError('ATOLL_TIMEOUT', 'lost')) : through.put(target, ...rest)
      },
    })
    await story({ nodes, replicas }, async ({ world, cluster }) => {
      await change(world, cluster)
      await sleep(world, 20_000)
      expect(writes).toBeGreaterThan(100)
      await expectHeldByPrimaries(cluster)
      expect(owed(cluster)).toBe(0)
    })()
  },
)

test(
  'of two nodes, one is away: it gets what it missed',
  story({ nodes: 2 }, async ({ world, cluster }) => {
    await cluster.crash('n2')
    const { kv } = aliveIn(cluster)
    for (const name of NAMES) {
      const id = { type: 'default', bucket: utf8('reef'), key: utf8(name) }
      await kv.put(id, { value: utf8(name) }, { w: 1, dw: 1 })
    }
    await cluster.idle()
    expect(differing(await heldBy(cluster))).toEqual([])
    expect(aliveIn(cluster).cluster.status().owed).toEqual([{ node: 'n2', keys: 20, partitions: 0 }])
    await cluster.restart('n2')
    await sleep(world, 20_000)
    expect(differing(await heldBy(cluster))).toEqual([])
    expect(owed(cluster)).toBe(0)
  }),
)

const SEEDS = [0, 6, 9, 20, 58, 60]

test.each(SEEDS)(
  'nodes are cut off, stand still, come and go: all is whole without a read (seed %s)',
  async (seed) => {
    const draws = {
      ...DRAWS,
      blackout: () => false,
      faults: (prng: Prng) => without(DRAWS.faults(prng), UNNOTED),
      changes: (prng: Prng) => without(DRAWS.changes(prng), UNNOTED_CHANGES),
    }
    const { failures } = await runSeeds({ ...houseScenario(), draws }, { from: seed, count: 1 })
    expect(failures.map(({ failure }) => `${failure?.error}`)).toEqual([])
  },
)

function without<Options extends object>(options: Options, names: ReadonlySet<string>): Partial<Options> {
  const left: Partial<Options> = { ...options }
  for (const name in left) if (names.has(name)) delete left[name]
  return left
}

async function commit(cluster: Cluster, change: Change): Promise<void> {
  const { cluster: control } = aliveIn(cluster)
  await control.stage(change)
  await control.commit(await control.plan(), { allowViolations: true })
}

/** What a node says in the handshake is changed into what nobody knows. */
function withoutCapability(network: MemoryNetwork, node: string, capability: string): MemoryNetwork {
  const transport = network.transport.bind(network)
  const mute = (connection: Connection) => {
    const send = connection.send.bind(connection)
    return Object.assign(connection, {
      send: (frame: Frame) => {
        const text = Buffer.from(frame.head)
          .toString('latin1')
          .replaceAll(capability, 'x'.repeat(capability.length))
        return send({ ...frame, head: Buffer.from(text, 'latin1') })
      },
    })
  }
  network.transport = (address) => {
    const { listen, connect } = transport(address)
    if (address !== node) return { listen, connect }
    return {
      listen: (at, onConnection) => listen(at, (connection) => onConnection(mute(connection))),
      connect: async (...to) => mute(await connect(...to)),
    }
  }
  return network
}

/** All who hold a record have the same of it. */
async function expectHeldByPrimaries(cluster: Cluster): Promise<void> {
  const held = await heldBy(cluster)
  const differ: string[] = []
  for (const node of cluster.nodes) {
    for (const partition of await node.vnodes.partitions()) {
      for await (const { id } of node.vnodes.fold(partition)) {
        const holders = cluster.placement.primaries(partition, 3)
        if (new Set(holders.map((holder) => held.get(holder.node)?.get(nameOf(id)))).size > 1)
          differ.push(nameOf(id))
      }
    }
  }
  expect(differ).toEqual([])
}
