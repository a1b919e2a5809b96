import { isAtollError, shielded, utf8 } from '@atoll/core'
import { type Cluster, createCluster } from '@atoll/node'
import { partitionOf } from '@atoll/ring'
import { createWorld, type World } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import type { Database, VnodeHost } from '@atoll/vnode'
import { expect, test } from 'vitest'

const FIRST = 'n1'
/** Those who decide without the first one. */
const OTHERS = ['n2', 'n3', 'n4']
const SEEDS = [1, 2, 3]
const KEYS = 12
/** So many that each partition has some. */
const EARLIER_KEYS = 100
/** Longer than a node waits for what it proposes. */
const NOT_WAITED_MS = 15_000
const HANDING_ON_MS = 30_000
const ACCEPTOR_KEY = '!cluster!acceptor'

const idOf = (key: string) => ({ type: 'things', bucket: utf8('b'), key: utf8(key) })

const documentOf = (cluster: Cluster, name: string) => cluster.node(name).cluster.document

/** Calls back before each vote of a node is written. */
function watchingVotes(database: Database, onVote: () => void): Database {
  const batch = database.batch.bind(database)
  return Object.assign(database, {
    batch: (...[operations, options]: Parameters<Database['batch']>) => {
      if (operations.some(({ key }) => Buffer.from(key).toString('latin1') === ACCEPTOR_KEY)) onVote()
      return batch(operations, options)
    },
  })
}

async function until(world: World, what: string, isSo: () => boolean): Promise<void> {
  const { clock } = world.runtime('test')
  const endMs = clock.monotonicMs() + 60_000
  while (!isSo()) {
    if (clock.monotonicMs() > endMs) throw new Error(`it does not come about that ${what}`)
    await clock.sleep(1)
  }
}

interface Outcome {
  readonly acknowledged: number
  /** Acknowledged, and not seen by a majority of the new list while the old holder is cut off. */
  readonly unseen: number
  /** Acknowledged, and not at each new holder when everybody hears everybody again. */
  readonly lacking: number
}

/** How many partitions have got both new holders, each of which is firm at the first one. */
function firmPairs(cluster: Cluster): number {
  const firm = new Map<number, number>()
  for (const { partition, stage } of cluster.node(FIRST).vnodes.mirrors.all())
    if (stage === 'firm') firm.set(partition, (firm.get(partition) ?? 0) + 1)
  return [...firm.values()].filter((count) => count === 2).length
}

/**
 * Lists grow from one holder to three. What that one says of it is accepted by all others, and it does not hear of that: it
 * is cut off. `comesBack` for some milliseconds, or else it restarts: either way it begins anew what it thinks that it has
 * to do. Then one of the others finds out what was decided.
 */
async function unheard(
  world: World,
  { comesBack, breaks }: { readonly comesBack: boolean; readonly breaks?: (host: VnodeHost) => void },
): Promise<Outcome> {
  const { clock } = world.runtime('test')
  const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: 0, max: 2 } })
  let votes = 0
  let watched: Cluster | undefined
  const onVote = () => {
    if (watched === undefined || firmPairs(watched) === 0) return
    votes += 1
    // The first is its promise, and the second one its own vote for what it says.
    if (votes === 2) network.partition(OTHERS, [FIRST], { oneWay: true })
  }
  await using cluster = await createCluster({
    nodes: [FIRST],
    partitions: 16,
    n: 3,
    network,
    runtime: (name) => shielded(world.runtime(name)),
    storage: (name) => {
      const database = world.disk(name).open()
      return name === FIRST ? watchingVotes(database, onVote) : database
    },
    onCrash: (name) => world.disk(name).crash(),
    // Nobody stands in for anybody: what is acknowledged is on holders.
    bucketTypes: { things: { sloppy: false } },
    coordinator: { timeoutMs: 3000, attemptTimeoutMs: 500 },
  })
  for (let at = 0; at < EARLIER_KEYS; at++)
    await cluster
      .node(FIRST)
      .kv.put(idOf(`earlier ${at}`), { value: utf8('there is something to be copied') })
  for (const name of OTHERS) await cluster.add(name)
  const control = cluster.node(FIRST).cluster
  await control.commit(await control.plan())
  breaks?.(cluster.node(FIRST).vnodes)
  watched = cluster
  await until(world, 'the first node votes', () => votes >= 2)
  await clock.sleep(100)
  network.partition([FIRST], OTHERS)
  if (comesBack) {
    await clock.sleep(NOT_WAITED_MS)
    network.heal()
    await until(world, 'it hears the others', () => OTHERS.every((name) => cluster.node(FIRST).isUp(name)))
    // As long as it takes to begin something, and not to end it.
    await clock.sleep(1)
    network.partition([FIRST], OTHERS)
  } else {
    await cluster.crash(FIRST)
    await cluster.restart(FIRST)
  }
  // Whoever wants something decided finds out what has been.
  await cluster.node('n4').cluster.setBucketType('others', { n: 3 })
  const [before, now] = [documentOf(cluster, FIRST), documentOf(cluster, 'n4')]
  const parts = [...before.replicas.keys()].filter(
    (partition) => before.replicas[partition]?.join() === FIRST && now.replicas[partition]?.length === 3,
  )
  expect(parts).not.toEqual([])
  const first = cluster.node(FIRST)
  const { sha1 } = first.runtime.digest
  const names = Array.from({ length: 1000 }, (_, at) => `k${at}`)
  const keys = names.filter((key) => parts.includes(partitionOf(idOf(key), 16, sha1))).slice(0, KEYS)
  const writes = await Promise.allSettled(keys.map((key) => first.kv.put(idOf(key), { value: utf8(key) })))
  expect(writes.find((write) => write.status === 'rejected' && !isAtollError(write.reason))).toBeUndefined()
  const acknowledged = keys.filter((_, at) => writes[at]?.status === 'fulfilled')
  const reads = await Promise.all(acknowledged.map((key) => cluster.node('n4').kv.get(idOf(key))))
  expect(documentOf(cluster, FIRST).replicas).toEqual(before.replicas)
  network.heal()
  await until(world, 'it hears of it', () => documentOf(cluster, FIRST).epoch >= now.epoch)
  await clock.sleep(HANDING_ON_MS)
  const lists = documentOf(cluster, FIRST).replicas
  let lacking = 0
  for (const key of acknowledged) {
    const partition = partitionOf(idOf(key), 16, sha1)
    for (const holder of lists[partition] ?? []) {
      const { record } = await cluster.node(holder).vnodes.get({ partition, id: idOf(key) })
      if (record === undefined) lacking += 1
    }
  }
  return {
    acknowledged: acknowledged.length,
    unseen: reads.filter(({ values }) => values.length === 0).length,
    lacking,
  }
}

test.each(SEEDS)(
  'a holder that does not hear that its copies are holders now acknowledges nothing without them: seed %i',
  async (seed) => {
    const world = createWorld({ seed })
    expect(await world.run(() => unheard(world, { comesBack: true }))).toEqual({
      acknowledged: 0,
      unseen: 0,
      lacking: 0,
    })
  },
)

test.each(SEEDS)(
  'what such a holder acknowledges after a restart comes to the others in the end: seed %i',
  async (seed) => {
    const world = createWorld({ seed })
    expect(await world.run(() => unheard(world, { comesBack: false }))).toMatchObject({ lacking: 0 })
  },
)

test('a holder that begins its copies anew, though they may be holders, acknowledges what they do not see', async () => {
  const breaks = ({ mirrors }: VnodeHost) => {
    mirrors.isWhole = () => false
  }
  const world = createWorld({ seed: 2 })
  const { acknowledged, unseen } = await world.run(() => unheard(world, { comesBack: true, breaks }))
  expect(acknowledged).toBeGreaterThan(0)
  expect(unseen).toBe(acknowledged)
})
