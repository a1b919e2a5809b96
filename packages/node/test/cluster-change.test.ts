import { isAtollError, utf8 } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { type Cluster, createCluster } from '../src/index.ts'

function inMemory() {
  return new MemoryLevel<Uint8Array, Uint8Array>({
    keyEncoding: 'view',
    valueEncoding: 'view',
    storeEncoding: 'view',
  })
}

/** Writes and reads objects without a pause until it is stopped; keeps what was acknowledged and what failed. */
class Client {
  readonly written = new Map<string, string>()
  readonly failures: unknown[] = []
  readonly #cluster: Cluster
  #stopped = false
  #running: Promise<void> | undefined

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  start(): void {
    this.#running = this.#run()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    for (let at = 0; !this.#stopped; at++) {
      // In memory nothing waits for the world: without this no timer would ever fire.
      await new Promise(setImmediate)
      const { nodes } = this.#cluster
      const node = nodes[at % nodes.length]
      const key = `k${at % 40}`
      try {
        const text = `value ${at} `.repeat(1 + (at % 3) * 200)
        await node?.objects.put('photos', key, text)
        this.written.set(key, text)
        const [back] = [...this.written].slice(at % this.written.size)
        if (back !== undefined && node !== undefined) expect(await read(node, back[0])).toBe(back[1])
      } catch (error) {
        // A node that has left says so, and then it is closed: its clients ask another one.
        const isGone = node !== undefined && !this.#cluster.nodes.includes(node)
        const hasLeft = isAtollError(error, 'ATOLL_CLOSED') && (isGone || error.details['reason'] === 'left')
        if (!hasLeft) this.failures.push(error)
      }
    }
  }
}

async function read(node: Cluster['nodes'][number], key: string): Promise<string> {
  const { body } = await node.objects.get('photos', key)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Commits what is staged, waits until it is done, and answers the plan. */
async function change(cluster: Cluster) {
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('no node runs')
  const plan = await node.cluster.plan()
  await node.cluster.commit(plan)
  await node.cluster.settled({ signal: AbortSignal.timeout(150_000) }).catch(async (error: unknown) => {
    const { moves, refills, epoch } = node.cluster.document
    const transfers = await node.cluster.transfers()
    throw new Error(`epoch ${epoch} does not settle: ${JSON.stringify({ moves, refills, transfers })}`, {
      cause: error,
    })
  })
  return plan
}

test('a cluster grows from 1 to 5, shrinks to 3 and replaces a node, and its clients notice nothing', async () => {
  await using cluster = await createCluster({ nodes: 1, partitions: 32, storage: inMemory })
  await cluster.node(1).objects.createBucket('photos')
  await using client = new Client(cluster)
  client.start()
  for (const name of ['n2', 'n3', 'n4', 'n5']) {
    await cluster.add(name)
    const plan = await change(cluster)
    expect(plan.moved).toBeLessThanOrEqual(1.2 * plan.leastMoves)
  }
  for (const name of ['n5', 'n2']) {
    await cluster.node(1).cluster.stage({ kind: 'leave', node: name })
    const plan = await change(cluster)
    expect(plan.moved).toBeLessThanOrEqual(1.2 * plan.leastMoves)
    await cluster.forget(name)
  }
  await cluster.add('n6')
  await cluster.node(1).cluster.stage({ kind: 'replace', node: 'n3', by: 'n6' })
  await change(cluster)
  await client.stop()
  expect(client.failures).toEqual([])
  expect(await cluster.node('n3').left).toMatchObject({ kind: 'left' })
  await cluster.forget('n3')
  expect(client.written.size).toBeGreaterThan(10)
  for (const node of cluster.nodes) {
    for (const [key, text] of client.written) expect(await read(node, key)).toBe(text)
  }
  expect(
    cluster
      .node('n1')
      .cluster.status()
      .members.filter(({ state }) => state === 'valid'),
  ).toHaveLength(3)
})

test('a bucket type gets more replicas while it is in use, and fewer again', async () => {
  await using cluster = await createCluster({
    nodes: 5,
    partitions: 16,
    storage: inMemory,
    bucketTypes: { notes: { n: 2 } },
  })
  const ids = Array.from({ length: 30 }, (_, at) => ({
    type: 'notes',
    bucket: utf8('b'),
    key: utf8(`k${at}`),
  }))
  for (const id of ids) await cluster.node(1).kv.put(id, { value: utf8('x') })
  const replicas = async () => {
    const census = [...(await cluster.census(ids)).values()]
    return census.reduce((sum, { primary, fallback }) => sum + primary + fallback, 0)
  }
  expect(await replicas()).toBe(60)
  const { cluster: control } = cluster.node(3)
  for (const [n, copies] of [
    [3, 90],
    [5, 150],
    [2, 60],
  ] as const) {
    await control.setBucketType('notes', { n })
    await control.settled({ signal: AbortSignal.timeout(150_000) })
    await until(async () => (await replicas()) === copies)
    for (const node of cluster.nodes) expect(node.bucketTypes.get('notes').n).toBe(n)
  }
  await expect(control.setBucketType('notes', { policy: { kind: 'write-once' } })).rejects.toMatchObject({
    code: 'ATOLL_CHANGE_REFUSED',
  })
})

test('nothing is denied and nothing older is read while n goes up, twice, and down again', async () => {
  await using cluster = await createCluster({
    nodes: 5,
    partitions: 16,
    storage: inMemory,
    bucketTypes: { notes: { n: 1 }, bodies: { n: 1, policy: { kind: 'write-once' } } },
  })
  const ids = ['notes', 'bodies'].flatMap((type) =>
    Array.from({ length: 60 }, (_, at) => ({ type, bucket: utf8('b'), key: utf8(`k${at}`) })),
  )
  for (const id of ids) await cluster.node(1).kv.put(id, { value: utf8('first') })
  const wrong = async (text: string) => {
    const reads = cluster.nodes.flatMap(({ kv }) => ids.map((id) => kv.get(id)))
    const found = (await Promise.all(reads)).map(({ values }) => values.map(({ value }) => `${value}`))
    return found.filter((values) => values.length === 0 || values.some((value) => value !== text)).length
  }
  const old = `${utf8('first')}`
  const { cluster: control } = cluster.node(3)
  for (const n of [3, 5, 4, 1]) {
    for (const type of ['notes', 'bodies']) await control.setBucketType(type, { n })
    expect(await wrong(old)).toBe(0)
  }
  for (const n of [3, 5]) {
    for (const type of ['notes', 'bodies']) await control.setBucketType(type, { n })
    expect(await wrong(old)).toBe(0)
    await control.settled({ signal: AbortSignal.timeout(150_000) })
    expect(await wrong(old)).toBe(0)
  }
})

test('a cluster refuses what would harm it, and says what to do instead', async () => {
  await using cluster = await createCluster({ nodes: 3, partitions: 8, storage: inMemory })
  await cluster.add('n4')
  const { cluster: control } = cluster.node(1)
  const plan = await control.plan()
  await control.stage({ kind: 'leave', node: 'n3' })
  await expect(control.commit(plan)).rejects.toMatchObject({ code: 'ATOLL_STALE_PLAN' })
  const again = await control.plan()
  await cluster.crash('n4')
  await until(async () => !cluster.node(1).isUp('n4'))
  await expect(control.commit(again)).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE' })
  await expect(control.stage({ kind: 'leave', node: 'n9' })).rejects.toMatchObject({
    code: 'ATOLL_CHANGE_REFUSED',
  })
  const join = { kind: 'join', node: 'n2', id: '0123456789abcdef', address: 'n2' } as const
  await expect(control.stage(join)).rejects.toMatchObject({ code: 'ATOLL_CHANGE_REFUSED' })
  cluster.partition(['n1'], ['n2', 'n3'])
  await expect(control.clear({ timeoutMs: 1500 })).rejects.toMatchObject({ code: 'ATOLL_QUORUM_UNMET' })
  cluster.heal()
})

test('nodes that are staged to join and never come back hold nothing up: the refusal says how to be rid of them', async () => {
  await using cluster = await createCluster({ nodes: 3, partitions: 8, storage: inMemory })
  const { cluster: control } = cluster.node(1)
  await cluster.add('n4')
  await cluster.add('n5')
  await control.stage({ kind: 'replace', node: 'n2', by: 'n5' })
  await control.stage({ kind: 'zone', node: 'n3', zone: 'east' })
  for (const name of ['n4', 'n5']) {
    await cluster.crash(name)
    await cluster.forget(name)
    await until(async () => !cluster.node(1).isUp(name))
  }
  await expect(change(cluster)).rejects.toMatchObject({
    code: 'ATOLL_UNREACHABLE',
    message:
      "n4, n5 join by this plan, and are not up; start them, or take them out of the plan: unstage('n4'), unstage('n5')",
  })
  await control.unstage('n4')
  await control.unstage('n5')
  await change(cluster)
  expect(control.status()).toMatchObject({ staged: [], pendingMoves: 0 })
  expect(control.status().members.map(({ node, state, zone }) => [node, state, zone])).toEqual([
    ['n1', 'valid', undefined],
    ['n2', 'valid', undefined],
    ['n3', 'valid', 'east'],
  ])
})

/** Looks until it is so; the test's own time limit ends it otherwise. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}
