import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { borrowBuffer, MiB } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Cluster, openCluster } from '../src/index.ts'

const KEYS = ['a', 'b']
const OBJECT_BYTES = 5 * MiB + 12_345

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'atoll-lent-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

/** Bytes that differ from object to object and from block to block. */
function bodyOf(key: string): Uint8Array {
  let state = key.charCodeAt(0)
  const body = new Uint32Array(Math.ceil(OBJECT_BYTES / 4))
  for (let at = 0; at < body.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    body[at] = state
  }
  return new Uint8Array(body.buffer, 0, OBJECT_BYTES)
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}

async function md5Of(chunks: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('md5')
  for await (const chunk of chunks) {
    hash.update(chunk)
    // Others read meanwhile.
    await new Promise((resolve) => setImmediate(resolve))
  }
  return hash.digest('hex')
}

async function readAll(cluster: Cluster, options: { readonly repair?: boolean } = {}): Promise<void> {
  const reads = [1, 2, 3].flatMap((at) => KEYS.map((key) => ({ at, key })))
  await Promise.all(
    reads.map(async ({ at, key }) => {
      const get = { ...options, chunks: 'lent' } as const
      const { body, etag } = await cluster.node(at).objects.get('letters', key, get)
      expect(await md5Of(body)).toBe(etag)
    }),
  )
}

/** MD5 of every block of every object as a node has it on its own disk. */
async function blocksAt(cluster: Cluster, at: number): Promise<readonly string[]> {
  const { objects, vnodes, ring, runtime } = cluster.node(at)
  const ids = await Promise.all(KEYS.map((key) => objects.recordsOf('letters', key)))
  const blocks = ids.flatMap(([, ...others]) => others)
  return await Promise.all(
    blocks.map(async (id) => {
      const partition = partitionOf(id, ring.partitions, runtime.digest.sha1)
      const { record, corrupt } = await vnodes.get({ partition, id })
      expect(corrupt).toBe(false)
      return md5(record?.siblings[0]?.value ?? new Uint8Array())
    }),
  )
}

test.each(['disk', 'memory'])(
  'lent chunks of a cluster on %s are right for many readers at once, and so is what they repair',
  {
    timeout: 60_000,
  },
  async (where) => {
    await using cluster = await openCluster(where === 'disk' ? { path, nodes: 3 } : { nodes: 3 })
    const { objects } = cluster.node(1)
    await objects.createBucket('letters')
    for (const key of KEYS) await objects.put('letters', key, [bodyOf(key)])
    const blocks = await blocksAt(cluster, 1)
    expect(blocks.length).toBe(6 * KEYS.length)
    await readAll(cluster)
    const lost = cluster.node(2)
    for (let partition = 0; partition < lost.ring.partitions; partition++) await lost.vnodes.drop(partition)
    await readAll(cluster)
    await readAll(cluster, { repair: true })
    expect(await blocksAt(cluster, 2)).toEqual(blocks)
  },
)

test('a copy of what a database in memory keeps comes back as well, and what it keeps is whole', async () => {
  await using cluster = await openCluster({ nodes: 1 })
  const { objects } = cluster.node(1)
  await objects.createBucket('letters')
  const { etag } = await objects.put('letters', 'a', [bodyOf('a').subarray(0, MiB)])
  const given: ArrayBufferLike[] = []
  const { body } = await objects.get('letters', 'a', { chunks: 'lent' })
  for await (const chunk of body) given.push(chunk.buffer)
  const [buffer] = given
  expect(given.length).toBe(1)
  expect(borrowBuffer(buffer?.byteLength ?? 0)).toBe(buffer)
  expect(await md5Of((await objects.get('letters', 'a')).body)).toBe(etag)
})
