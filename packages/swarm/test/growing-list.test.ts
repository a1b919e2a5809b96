import { isAtollError, shielded, utf8 } from '@atoll/core'
import { type Cluster, createCluster } from '@atoll/node'
import { partitionOf } from '@atoll/ring'
import { createWorld, type World } from '@atoll/sim'
import { MemoryNetwork } from '@atoll/transport'
import { expect, test } from 'vitest'

const FIRST = 'n1'
const LATE = 'n4'
const NEW_LIST = [FIRST, 'n2', 'n3']
const SEEDS = [1, 2, 3]
const KEYS = 12

const idOf = (key: string) => ({ type: 'things', bucket: utf8('b'), key: utf8(key) })

async function oneNode(world: World): Promise<Cluster> {
  const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: 0, max: 2 } })
  return createCluster({
    nodes: [FIRST],
    partitions: 16,
    n: 3,
    network,
    runtime: (name) => shielded(world.runtime(name)),
    storage: (name) => world.disk(name).open(),
    onCrash: (name) => world.disk(name).crash(),
    // Nobody stands in for anybody: what is acknowledged is on holders.
    bucketTypes: { things: { sloppy: false } },
    coordinator: { timeoutMs: 3000, attemptTimeoutMs: 500 },
  })
}

const documentOf = (cluster: Cluster, name: string) => cluster.node(name).cluster.document

/**
 * Partitions that the first node held alone when the late one heard of the cluster last, and three nodes hold now,
 * without the late one.
 */
function grown(cluster: Cluster): ReadonlySet<number> {
  const [before, now] = [documentOf(cluster, LATE), documentOf(cluster, FIRST)]
  const isGrown = (partition: number) =>
    before.replicas[partition]?.join() === FIRST &&
    [...(now.replicas[partition] ?? [])].sort().join() === NEW_LIST.join()
  return new Set([...now.replicas.keys()].filter(isGrown))
}

async function until(world: World, isSo: () => boolean): Promise<void> {
  const { clock } = world.runtime('test')
  const endMs = clock.monotonicMs() + 60_000
  while (!isSo()) {
    if (clock.monotonicMs() > endMs) throw new Error('it does not come about')
    await clock.sleep(5)
  }
}

interface Outcome {
  readonly acknowledged: number
  readonly refused: number
  /** Acknowledged, and not seen by a majority of the new list. */
  readonly unseen: number
}

/**
 * A node of four has a disk that takes no writes, so that no newer document counts on it, while the lists grow from one
 * holder to three. The first holder, which hands everything on, loses its power and with it the knowledge of who came
 * to its lists. Then the late node writes by the list of one: there w is 1.
 */
async function lateWrites(world: World): Promise<Outcome> {
  await using cluster = await oneNode(world)
  for (const name of ['n2', 'n3', LATE]) await cluster.add(name)
  const control = cluster.node(FIRST).cluster
  const { epoch } = await control.commit(await control.plan())
  await until(world, () => documentOf(cluster, LATE).epoch >= epoch)
  world.disk(LATE).failWrites({ count: 1_000_000 })
  await until(world, () => grown(cluster).size >= 3)
  await cluster.crash(FIRST)
  await cluster.restart(FIRST)
  await until(world, () => cluster.node(LATE).isUp(FIRST))
  const parts = grown(cluster)
  const late = cluster.node(LATE)
  const { sha1 } = late.runtime.digest
  const names = Array.from({ length: 1000 }, (_, at) => `k${at}`)
  const keys = names.filter((key) => parts.has(partitionOf(idOf(key), 16, sha1))).slice(0, KEYS)
  expect(keys).toHaveLength(KEYS)
  const newest = documentOf(cluster, FIRST)
  for (const partition of parts)
    expect(newest.grownAt[partition]).toBeGreaterThan(documentOf(cluster, LATE).epoch)
  expect(newest.epoch - documentOf(cluster, LATE).epoch).toBeGreaterThanOrEqual(2)
  const writes = await Promise.allSettled(keys.map((key) => late.kv.put(idOf(key), { value: utf8(key) })))
  const strange = writes.find((write) => write.status === 'rejected' && !isAtollError(write.reason))
  expect(strange).toBeUndefined()
  const acknowledged = keys.filter((_, at) => writes[at]?.status === 'fulfilled')
  // Any two of the new list are a majority. These are the two that the late node does not know.
  await cluster.crash(FIRST)
  const reads = await Promise.all(acknowledged.map((key) => cluster.node('n2').kv.get(idOf(key))))
  world.disk(LATE).heal()
  return {
    acknowledged: acknowledged.length,
    refused: KEYS - acknowledged.length,
    unseen: reads.filter(({ values }) => values.length === 0).length,
  }
}

test.each(SEEDS)(
  'a write by a list of one, after its holder has restarted, is seen by the list of three or refused: seed %i',
  async (seed) => {
    const world = createWorld({ seed })
    const outcome = await world.run(() => lateWrites(world))
    expect(outcome).toEqual({ acknowledged: 0, refused: KEYS, unseen: 0 })
  },
)
