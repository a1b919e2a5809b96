import { KiB } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { afterEach, expect, test } from 'vitest'
import { type Cluster, createCluster } from '../src/index.ts'

const BLOCK_BYTES = 4 * KiB
const LONG_MS = 60_000
const CLOSED = { code: 'ATOLL_CLOSED' }
const BODY = Uint8Array.from({ length: 8 * BLOCK_BYTES }, (_, at) => (at * 31) % 251)

const databases = new Map<string, MemoryLevel<Uint8Array, Uint8Array>>()
const opened: Cluster[] = []

afterEach(async () => {
  for (const cluster of opened.splice(0)) await cluster.close({ drainMs: 0 })
  databases.clear()
})

async function openThree(): Promise<Cluster> {
  const cluster = await createCluster({
    nodes: 3,
    partitions: 8,
    storage: (node) => {
      const known = databases.get(node) ?? new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' })
      databases.set(node, known)
      return known
    },
    objects: { blockBytes: BLOCK_BYTES, inlineBytes: 0, readAhead: 1 },
  })
  opened.push(cluster)
  return cluster
}

function signalled(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

/** A body that stops in its middle until it is told to go on. */
function halting(): {
  readonly body: AsyncIterable<Uint8Array>
  readonly halted: Promise<void>
  readonly goOn: () => void
} {
  const halt = signalled()
  const going = signalled()
  async function* chunks() {
    yield BODY.subarray(0, BODY.length / 2)
    halt.resolve()
    await going.promise
    yield BODY.subarray(BODY.length / 2)
  }
  return { body: chunks(), halted: halt.promise, goOn: going.resolve }
}

/** A put that has blocks on disks, and waits for the rest of its body. */
async function halfPut(cluster: Cluster, key = 'slow') {
  const { objects } = cluster.node(1)
  const { body, halted, goOn } = halting()
  const durable = signalled()
  const onProgress = ({ bytes }: { readonly bytes: number }) => {
    if (bytes === BODY.length / 2) durable.resolve()
  }
  const putting = objects.put('reef', key, body, { onProgress })
  putting.catch(() => {})
  await Promise.all([halted, durable.promise])
  return { putting, goOn }
}

async function openWithBucket(): Promise<Cluster> {
  const cluster = await openThree()
  await cluster.node(1).objects.createBucket('reef')
  return cluster
}

/** Values of at least a block, over all databases. */
async function blocksLeft(): Promise<number> {
  let blocks = 0
  for (const database of databases.values()) {
    await database.open()
    const values = await database
      .values<string, Uint8Array>({ keyEncoding: 'hex', valueEncoding: 'view' })
      .all()
    blocks += values.filter(({ length }) => length >= BLOCK_BYTES).length
  }
  return blocks
}

/** What a collection finds when every lease is over. */
async function leftToCollect(): Promise<unknown> {
  const cluster = await openThree()
  const { objects } = cluster.node(2)
  return objects.collect({ now: Date.now() + 7 * 3_600_000, leewayMs: 0 })
}

async function readAll(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return new Uint8Array(Buffer.concat(chunks))
}

test('a put under way ends well while a cluster closes, and nothing new begins', async () => {
  const cluster = await openWithBucket()
  const node = cluster.node(1)
  const { putting, goOn } = await halfPut(cluster)
  const closing = cluster.close({ drainMs: LONG_MS })
  await expect(node.objects.put('reef', 'late', 'x')).rejects.toMatchObject(CLOSED)
  await expect(node.objects.head('reef', 'slow')).rejects.toMatchObject(CLOSED)
  await expect(node.objects.listAll('reef').next()).rejects.toMatchObject(CLOSED)
  const id = { type: 'default', bucket: new Uint8Array([1]), key: new Uint8Array([1]) }
  await expect(node.kv.get(id)).rejects.toMatchObject(CLOSED)
  await expect(node.kv.put(id, { value: id.key })).rejects.toMatchObject(CLOSED)
  goOn()
  expect(await putting).toMatchObject({ size: BODY.length, primaries: expect.any(Number) })
  await closing
  const again = await openThree()
  const { body } = await again.node(3).objects.get('reef', 'slow')
  expect(await readAll(body)).toEqual(BODY)
})

test.each([
  { name: 'a cluster', close: (cluster: Cluster) => cluster.close({ drainMs: 0 }) },
  { name: 'a node', close: (cluster: Cluster) => cluster.stop('n1', { drainMs: 0 }) },
])('an upload that is cut by the close of $name leaves no block and no note', async ({ close }) => {
  const cluster = await openWithBucket()
  const { putting } = await halfPut(cluster)
  expect(await blocksLeft()).toBeGreaterThanOrEqual(8)
  await close(cluster)
  await expect(putting).rejects.toMatchObject({ ...CLOSED, definite: true })
  await cluster.close()
  expect(await blocksLeft()).toBe(0)
  expect(await leftToCollect()).toEqual({ objects: 0, versions: 0, blocks: 0, failed: 0 })
})

test('a power cut clears nothing up: that is left to a collection', async () => {
  const cluster = await openWithBucket()
  const { putting, goOn } = await halfPut(cluster)
  await cluster.crash('n1')
  goOn()
  await expect(putting).rejects.toMatchObject({ code: expect.stringMatching(/^ATOLL_/) })
  await cluster.close()
  expect(await blocksLeft()).toBeGreaterThanOrEqual(8)
})

test('of several calls of close the one that cuts first counts', async () => {
  const cluster = await openWithBucket()
  const { putting } = await halfPut(cluster)
  const patient = cluster.close({ drainMs: LONG_MS })
  const impatient = cluster.close({ drainMs: 0 })
  const patientAgain = cluster.close({ drainMs: LONG_MS })
  await Promise.all([patient, impatient, patientAgain, cluster.close()])
  await expect(putting).rejects.toMatchObject(CLOSED)
  expect(await blocksLeft()).toBe(0)
})

test('a body that is being read goes on to its end, or is cut; so is one that was only handed out', async () => {
  const cluster = await openWithBucket()
  const { objects } = cluster.node(1)
  await objects.put('reef', 'large', BODY)
  const [begun, handedOut, abandoned, cut] = await Promise.all(
    ['begun', 'handed out', 'abandoned', 'cut'].map(async () => (await objects.get('reef', 'large')).body),
  )
  if (!begun || !handedOut || !abandoned || !cut) throw new Error('four bodies')
  const reading = begun[Symbol.asyncIterator]()
  const first = await reading.next()
  // Nobody comes back for this one.
  await abandoned[Symbol.asyncIterator]().next()
  const closing = cluster.close({ drainMs: LONG_MS })
  expect(await readAll(handedOut)).toEqual(BODY)
  const rest: Uint8Array[] = [first.value ?? new Uint8Array()]
  for (let next = await reading.next(); !next.done; next = await reading.next()) rest.push(next.value)
  expect(new Uint8Array(Buffer.concat(rest))).toEqual(BODY)
  const late = cut[Symbol.asyncIterator]()
  await late.next()
  void cluster.close({ drainMs: 0 })
  const readOn = async () => {
    for (let next = await late.next(); !next.done; next = await late.next());
  }
  await expect(readOn()).rejects.toMatchObject(CLOSED)
  await closing
})

test('close refuses what it cannot take, and nothing is closed', async () => {
  const cluster = await openWithBucket()
  await expect(cluster.close({ drainMs: -1 })).rejects.toThrow(RangeError)
  // @ts-expect-error: no such option
  await expect(cluster.node(1).close({ drain: 1 })).rejects.toThrow(TypeError)
  await expect(cluster.stop('n1', { drainMs: 0.5 })).rejects.toThrow(RangeError)
  await cluster.node(1).objects.put('reef', 'still', 'open')
})
