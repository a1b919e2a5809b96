import { type KeyId, utf8 } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type Cluster, createCluster } from '../src/index.ts'

/** Databases that outlive their nodes. */
function disks() {
  const kept = new Map<string, MemoryLevel<Uint8Array, Uint8Array>>()
  return (node: string) => {
    const disk =
      kept.get(node) ??
      new MemoryLevel<Uint8Array, Uint8Array>({
        keyEncoding: 'view',
        valueEncoding: 'view',
        storeEncoding: 'view',
      })
    kept.set(node, disk)
    return disk
  }
}

const PLACES = 12
const KEYS = 6
const placeOf = (at: number) => utf8(`place ${at % PLACES}`)

/** Of each place some keys, of which the first is the place itself. */
const IDS: readonly KeyId[] = Array.from({ length: PLACES * KEYS }, (_, at) => {
  const base = { type: 'default', bucket: utf8('b') }
  const key = at < PLACES ? placeOf(at) : utf8(`key ${at}`)
  return { ...base, key, place: placeOf(at) }
})
/** The same keys without their places: other records. */
const BARE: readonly KeyId[] = IDS.slice(PLACES).map(({ type, bucket, key }) => ({ type, bucket, key }))

const textIn = ({ key, place }: KeyId, round = 0) =>
  `${Buffer.from(key)} at ${place && Buffer.from(place)} ${round}`

async function writeAll(cluster: Cluster, ids: readonly KeyId[], round = 0): Promise<void> {
  const { nodes } = cluster
  const indexOf = (id: KeyId) => ({
    index: 'all',
    scope: utf8('s'),
    term: id.key,
    payload: utf8(textIn(id, round)),
  })
  await Promise.all(
    ids.map(async (id, at) => {
      const { kv } = nodes[at % nodes.length]!
      const { context } = await kv.get(id)
      await kv.put(id, { value: utf8(textIn(id, round)), context, indexes: [indexOf(id)] })
    }),
  )
}

async function expectAll(cluster: Cluster, ids: readonly KeyId[], round = 0): Promise<void> {
  for (const { kv } of cluster.nodes) {
    const reads = await Promise.all(ids.map((id) => kv.get(id)))
    for (const [at, { values }] of reads.entries())
      expect(values.map(({ value }) => Buffer.from(value).toString())).toEqual([textIn(ids[at]!, round)])
  }
  const found: string[] = []
  const { kv } = cluster.nodes[0]!
  for (let after: Uint8Array | undefined; ; ) {
    const page = await kv.scan({ type: 'default', index: 'all', scope: utf8('s'), limit: 7, after })
    found.push(
      ...page.entries.map(({ payloads }) => payloads.map((one) => Buffer.from(one).toString()).join()),
    )
    if (page.next === undefined) break
    after = page.next
  }
  expect(found.filter((one) => one.endsWith(` ${round}`)).sort()).toEqual(
    ids.map((id) => textIn(id, round)).sort(),
  )
}

/** Which nodes hold each, by the node's own storage. */
async function holdersOf(cluster: Cluster, id: KeyId): Promise<readonly string[]> {
  const held: string[] = []
  for (const { name, vnodes, runtime } of cluster.nodes) {
    const partition = partitionOf(id, vnodes.filed, runtime.digest.sha1)
    const { record } = await vnodes.get({ partition, id })
    if (record !== undefined) held.push(name)
  }
  return held.sort()
}

/** Once a move is decided, who held a partition before gives back what it has of it. */
async function expectTogether(cluster: Cluster): Promise<void> {
  for (let at = 0; at < PLACES; at++) {
    const ids = IDS.filter((_, number) => number % PLACES === at)
    const holders = () => Promise.all(ids.map((id) => holdersOf(cluster, id)))
    await until(async () => (await holders()).every(({ length }) => length <= 3))
    const [first, ...others] = await holders()
    expect(first).toHaveLength(3)
    for (const one of others) expect(one).toEqual(first)
  }
}

async function change(cluster: Cluster): Promise<void> {
  const { cluster: control } = cluster.nodes[0]!
  await control.commit(await control.plan())
  await control.settled({ signal: AbortSignal.timeout(150_000) })
}

test('keys with one place are on the same nodes, through joins, leaves and more partitions', async () => {
  await using cluster = await createCluster({ nodes: 4, partitions: 8, storage: disks() })
  const { sha1 } = cluster.node(1).runtime.digest
  for (let at = 0; at < PLACES; at++) {
    const partitions = IDS.filter((_, number) => number % PLACES === at).map((id) => partitionOf(id, 8, sha1))
    // Where the key of that name lies without a place.
    const bare = partitionOf({ type: 'default', bucket: utf8('b'), key: placeOf(at) }, 8, sha1)
    expect(new Set(partitions)).toEqual(new Set([bare]))
  }
  await writeAll(cluster, [...IDS, ...BARE])
  await cluster.idle()
  await expectAll(cluster, [...IDS, ...BARE])
  await expectTogether(cluster)
  const census = await cluster.node(2).cluster.census(IDS)
  const replicas = [...census.values()].reduce((sum, { primary, fallback }) => sum + primary + fallback, 0)
  expect(replicas).toBe(3 * IDS.length)

  await cluster.add('n5')
  await change(cluster)
  await expectAll(cluster, [...IDS, ...BARE])
  await expectTogether(cluster)
  await cluster.node(1).cluster.stage({ kind: 'leave', node: 'n2' })
  await change(cluster)
  // It has nothing any more.
  await cluster.node('n2').left
  await cluster.crash('n2')
  await cluster.node(1).cluster.stage({ kind: 'resize', partitions: 32 })
  await change(cluster)
  for (const { vnodes } of cluster.nodes) expect(vnodes.filed).toBe(32)
  await expectAll(cluster, [...IDS, ...BARE])
  await expectTogether(cluster)
  for (const node of [...cluster.nodes].map(({ name }) => name)) {
    await cluster.crash(node)
    await cluster.restart(node)
  }
  await expectAll(cluster, [...IDS, ...BARE])
})

test('a node that was down gets records with places that it missed', async () => {
  await using cluster = await createCluster({ nodes: 3, partitions: 8, storage: disks() })
  await writeAll(cluster, IDS)
  await cluster.crash('n3')
  await writeAll(cluster, IDS, 1)
  await cluster.restart('n3')
  const { vnodes, runtime } = cluster.node('n3')
  for (const id of IDS) {
    const partition = partitionOf(id, vnodes.filed, runtime.digest.sha1)
    await until(async () => {
      const { record } = await vnodes.get({ partition, id })
      return record?.siblings.map(({ value }) => Buffer.from(value).toString()).join() === textIn(id, 1)
    })
  }
  await expectTogether(cluster)
})

/** Looks until it is so; the test's own time limit ends it otherwise. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}
