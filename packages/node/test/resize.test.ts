import { utf8 } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type AtollNode, type Cluster, createCluster } from '../src/index.ts'

function inMemory() {
  return new MemoryLevel<Uint8Array, Uint8Array>({
    keyEncoding: 'view',
    valueEncoding: 'view',
    storeEncoding: 'view',
  })
}

/** Databases that outlive their nodes. */
function disks() {
  const kept = new Map<string, MemoryLevel<Uint8Array, Uint8Array>>()
  return (node: string) => {
    const disk = kept.get(node) ?? inMemory()
    kept.set(node, disk)
    return disk
  }
}

/** Writes, reads and lists objects without a pause until it is stopped; keeps what was acknowledged and what failed. */
class Client {
  readonly written = new Map<string, string>()
  readonly failures: unknown[] = []
  rounds = 0
  readonly #cluster: Cluster
  readonly #running: Promise<void>
  #stopped = false

  constructor(cluster: Cluster) {
    this.#cluster = cluster
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    for (; !this.#stopped; this.rounds++) {
      // In memory nothing waits for the world: without this no timer would ever fire.
      await new Promise(setImmediate)
      const { nodes } = this.#cluster
      const node = nodes[this.rounds % nodes.length]
      try {
        if (node !== undefined) await this.#round(node)
      } catch (error) {
        this.failures.push(error)
      }
    }
  }

  async #round(node: AtollNode): Promise<void> {
    const key = `k${(this.rounds * 7) % 150}`
    const text = `value ${this.rounds}`
    await node.objects.put('photos', key, text)
    this.written.set(key, text)
    const [back] = [...this.written].slice(this.rounds % this.written.size)
    if (back !== undefined) expect(await read(node, back[0])).toBe(back[1])
    if (this.rounds % 5 === 0) expect(await list(node)).toEqual([...this.written.keys()].sort())
  }
}

async function read(node: AtollNode, key: string): Promise<string> {
  const { body } = await node.objects.get('photos', key)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function list(node: AtollNode): Promise<string[]> {
  const page = await node.objects.list('photos', { limit: 1000 })
  return page.objects.map(({ key }) => key)
}

async function change(cluster: Cluster) {
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('no node runs')
  const plan = await node.cluster.plan()
  await node.cluster.commit(plan)
  await node.cluster.settled({ signal: AbortSignal.timeout(150_000) })
  return plan
}

async function rowsOf(node: AtollNode): Promise<number> {
  let rows = 0
  for (const partition of await node.vnodes.partitions()) rows += await node.vnodes.count(partition)
  return rows
}

test('a ring gets four times the partitions in use: nothing fails, nothing is lost, and a node joins as planned', async () => {
  await using cluster = await createCluster({ nodes: 5, partitions: 16, storage: inMemory })
  await cluster.node(1).objects.createBucket('photos')
  const client = new Client(cluster)
  await until(async () => client.written.size > 100)
  const rounds = client.rounds
  await cluster.node(3).cluster.stage({ kind: 'resize', partitions: 64 })
  const plan = await change(cluster)
  expect(plan).toMatchObject({ moved: 0, transfers: [], lost: [] })
  // The one that was under way, and one that began by the new ring.
  await until(async () => client.rounds > rounds + 1)
  for (const node of cluster.nodes) expect(node.vnodes.filed).toBe(64)
  await cluster.add('n6')
  const joined = await change(cluster)
  expect(joined.moved).toBeGreaterThan(0)
  expect(joined.moved).toBeLessThanOrEqual(1.2 * joined.leastMoves)
  await client.stop()
  expect(client.failures).toEqual([])
  for (const node of cluster.nodes) {
    expect(await list(node)).toEqual([...client.written.keys()].sort())
    for (const [key, text] of client.written) expect(await read(node, key)).toBe(text)
  }
})

test('a node that was down meanwhile files its records anew when it is back, and nothing else is planned before', async () => {
  await using cluster = await createCluster({ nodes: 4, partitions: 8, storage: disks() })
  const ids = Array.from({ length: 60 }, (_, at) => ({
    type: 'default',
    bucket: utf8('b'),
    key: utf8(`k${at}`),
  }))
  for (const id of ids) await cluster.node(1).kv.put(id, { value: utf8('x') })
  await cluster.idle()
  const rows = await rowsOf(cluster.node('n2'))
  await cluster.crash('n2')
  const { cluster: control } = cluster.node(1)
  await control.stage({ kind: 'resize', partitions: 32 })
  await control.commit(await control.plan())
  await until(async () => control.status().resizing?.waiting.join() === 'n2')
  await control.stage({ kind: 'leave', node: 'n4' })
  const plan = await control.plan()
  await expect(control.commit(plan)).rejects.toMatchObject({
    code: 'ATOLL_CHANGE_REFUSED',
    message: expect.stringContaining('first n2 has to file records by 32 partitions'),
  })
  await control.clear()
  await cluster.restart('n2')
  await control.settled({ signal: AbortSignal.timeout(150_000) })
  expect(cluster.node('n2').vnodes.filed).toBe(32)
  expect(await rowsOf(cluster.node('n2'))).toBe(rows)
  await until(async () => {
    const counts = [...(await cluster.census(ids)).values()]
    const primaries = counts.reduce((sum, { primary }) => sum + primary, 0)
    return primaries === 180 && counts.every(({ fallback }) => fallback === 0)
  })
  // The options say 8 still: they are looked at when a cluster begins.
  await cluster.crash('n3')
  await cluster.restart('n3')
  expect(cluster.node('n3').ring.partitions).toBe(32)
})

/** Looks until it is so; the test's own time limit ends it otherwise. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}
