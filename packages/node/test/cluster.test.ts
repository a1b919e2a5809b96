import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Cluster, createCluster, createNode } from '../src/index.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

function inMemory() {
  const databases = new Map<string, MemoryLevel<Uint8Array, Uint8Array>>()
  return (node: string) => {
    const database =
      databases.get(node) ?? new MemoryLevel<Uint8Array, Uint8Array>({ ...VIEW, storeEncoding: 'view' })
    databases.set(node, database)
    return database
  }
}

/** Looks until it is so; the test's own time limit ends it otherwise. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}

async function bytesOf(cluster: Cluster, node: number, key: string): Promise<Buffer> {
  const { body } = await cluster.node(node).objects.get('photos', key)
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe.each(['memory', 'disk'] as const)('five nodes on %s', (where) => {
  let directory: string
  let cluster: Cluster

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'atoll-cluster-'))
    const onDisk = (node: string) => new ClassicLevel<Uint8Array, Uint8Array>(join(directory, node), VIEW)
    cluster = await createCluster({ nodes: 5, storage: where === 'memory' ? inMemory() : onDisk })
    await cluster.node(1).objects.createBucket('photos')
  })

  afterEach(async () => {
    await cluster.close()
    await rm(directory, { recursive: true })
  })

  test('an object put through one node is read through every other', async () => {
    const photo = randomBytes(2_500_000)
    const { etag } = await cluster.node(1).objects.put('photos', 'reef', photo)
    expect(etag).toBe(createHash('md5').update(photo).digest('hex'))
    for (const node of [1, 2, 3, 4, 5]) expect(photo.equals(await bytesOf(cluster, node, 'reef'))).toBe(true)
  })

  test('two nodes die, one of them in the middle of an upload, and nothing is lost', async () => {
    const photo = randomBytes(6_000_000)
    let crash: Promise<void> | undefined
    await cluster.node(1).objects.put('photos', 'reef', photo, {
      onProgress: ({ bytes }) => {
        if (bytes > 3_000_000) crash ??= cluster.crash('n5')
      },
    })
    await crash
    await cluster.crash('n4')
    expect(photo.equals(await bytesOf(cluster, 2, 'reef'))).toBe(true)
    await cluster.node(3).objects.put('photos', 'palm', 'written with two nodes down')
    expect((await bytesOf(cluster, 1, 'palm')).toString()).toBe('written with two nodes down')
  })

  test('a node that was away is made whole without a read', async () => {
    await cluster.crash('n5')
    const photo = randomBytes(5_000_000)
    await cluster.node(1).objects.put('photos', 'reef', photo)
    await cluster.restart('n5')
    const ids = await cluster.node(2).objects.recordsOf('photos', 'reef')
    expect(ids).toHaveLength(6)
    await until(async () => {
      const census = [...(await cluster.census(ids)).values()]
      const sum = (role: 'primary' | 'fallback') => census.reduce((total, counts) => total + counts[role], 0)
      return sum('primary') === 18 && sum('fallback') === 0
    })
    expect(photo.equals(await bytesOf(cluster, 2, 'reef'))).toBe(true)
  })

  test('closed and opened again it is the same cluster', async () => {
    const photo = randomBytes(1_500_000)
    await cluster.node(4).objects.put('photos', 'reef', photo)
    const { ring } = cluster
    await cluster.close()
    await cluster.open()
    expect(cluster.ring).toEqual(ring)
    expect(photo.equals(await bytesOf(cluster, 5, 'reef'))).toBe(true)
  })
})

describe('what cannot be', () => {
  test('a crashed node is not to be had, and says so', async () => {
    await using cluster = await createCluster({ nodes: 3, storage: inMemory() })
    await cluster.crash('n2')
    expect(() => cluster.node(2)).toThrow(expect.objectContaining({ code: 'ATOLL_UNREACHABLE' }))
    expect(() => cluster.node('n9')).toThrow(/name must be one of n1, n2, n3, got "n9"/)
    expect(cluster.isRunning('n2')).toBe(false)
  })

  test('data of one cluster is not opened as another', async () => {
    const storage = inMemory()
    await (await createCluster({ nodes: 3, storage })).close()
    const other = createCluster({ nodes: 4, storage })
    await expect(other).rejects.toMatchObject({ code: 'ATOLL_FORMAT' })
    await expect(other).rejects.toThrow(/of n1, n2, n3, not to .*n4/)
    await using again = await createCluster({ nodes: 3, storage })
    expect(again.nodes).toHaveLength(3)
  })

  test('a node of a cluster is not opened alone', async () => {
    const storage = inMemory()
    await (await createCluster({ nodes: 3, storage })).close()
    await expect(createNode({ storage: storage('n1') })).rejects.toMatchObject({ code: 'ATOLL_FORMAT' })
  })

  test('a node that lost its disk comes back empty into its cluster', async () => {
    const storage = inMemory()
    const first = await createCluster({ nodes: 3, storage })
    const { ring } = first
    await first.close()
    const fresh = inMemory()
    await using cluster = await createCluster({
      nodes: 3,
      storage: (node) => (node === 'n1' ? fresh : storage)(node),
    })
    expect(cluster.ring).toEqual(ring)
  })

  test('a locked directory is refused, and nothing stays open', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'atoll-locked-'))
    try {
      await using node = await createNode({ storage: new ClassicLevel(join(directory, 'n1')) })
      const twice = createNode({ storage: new ClassicLevel(join(directory, 'n1')) })
      await expect(twice).rejects.toMatchObject({ code: 'ATOLL_LOCKED' })
      await expect(twice).rejects.toThrow(/in use: .*n1/)
      const storage = (name: string) => new ClassicLevel(join(directory, name === 'n2' ? 'n1' : name))
      await expect(createCluster({ nodes: ['n0', 'n2'], storage })).rejects.toMatchObject({
        code: 'ATOLL_LOCKED',
      })
      const free = new ClassicLevel(join(directory, 'n0'))
      await free.open()
      await free.close()
      expect(node.state).toBe('open')
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  test.each([
    [{ nodes: 0 }, /nodes must be an integer from 1 to 200, got 0/],
    [{ nodes: ['a', 'a'] }, /different names, got "a" twice/],
    [{ nodes: ['a b'] }, /a-z A-Z 0-9 . _ - but not . or .., got "a b"/],
    [{ nodes: 3, partitions: 48 }, /power of two, got 48/],
    [{ nodes: 3, zones: { n7: 'east' } }, /zones names "n7"/],
    [{ nodes: 3, bucketTypes: { fast: { n: 3, w: 4 } } }, /w .*4/],
    [{ nodes: 3, objects: { blockBytes: 100 } }, /blockBytes .* got 100/],
  ])('options that cannot be are named: %j', async (options, message) => {
    await expect(createCluster({ storage: inMemory(), ...options })).rejects.toThrow(message)
  })

  test('an option that does not exist is a mistake, not ignored', async () => {
    const options = { nodes: 3, storage: inMemory(), copies: 3 }
    await expect(createCluster(options)).rejects.toThrow(/no option "copies"/)
  })
})

test('many nodes, and a signal that goes to all of them, give Node no reason for a warning', async () => {
  const warnings: string[] = []
  const onWarning = ({ message }: Error) => warnings.push(message)
  process.on('warning', onWarning)
  try {
    await using cluster = await createCluster({ nodes: 15, storage: inMemory() })
    const { objects } = cluster.node(1)
    const { signal } = new AbortController()
    await objects.createBucket('photos', { signal })
    await objects.put('photos', 'reef', randomBytes(100_000), { signal })
    await objects.list('photos', { signal })
    await new Promise(setImmediate)
  } finally {
    process.off('warning', onWarning)
  }
  expect(warnings).toEqual([])
})

describe('what is done with one node at once is done one after the other', () => {
  const expectWhole = async (cluster: Cluster) => {
    for (const node of cluster.nodes) {
      await node.objects.put('photos', `by ${node.name}`, 'text')
      expect(node.vnodes.state).toBe('open')
      expect(node.vnodes.storage.failure).toBeUndefined()
    }
  }

  test('starts of it, and one beside a stop that is not over', async () => {
    await using cluster = await createCluster({ nodes: 3, storage: inMemory() })
    await cluster.node(1).objects.createBucket('photos')
    await cluster.stop('n3')
    await Promise.all([cluster.restart('n3'), cluster.restart('n3')])
    await expectWhole(cluster)
    await Promise.all([cluster.stop('n3'), cluster.restart('n3')])
    await expectWhole(cluster)
    await Promise.all([cluster.crash('n3'), cluster.restart('n3'), cluster.stop('n3'), cluster.restart('n3')])
    await expectWhole(cluster)
    const [stopped, late] = await Promise.allSettled([cluster.stop('n3'), cluster.stop('n3')])
    expect(stopped.status).toBe('fulfilled')
    expect(late).toMatchObject({ status: 'rejected', reason: { code: 'ATOLL_UNREACHABLE' } })
  })

  test('additions of it: the second one finds that there is such a node', async () => {
    await using cluster = await createCluster({ nodes: 3, storage: inMemory() })
    await cluster.node(1).objects.createBucket('photos')
    const [added, again] = await Promise.allSettled([cluster.add('n4'), cluster.add('n4')])
    expect(added.status).toBe('fulfilled')
    expect(again).toMatchObject({ status: 'rejected', reason: { code: 'ATOLL_INVALID_ARGUMENT' } })
    expect(cluster.names).toEqual(['n1', 'n2', 'n3', 'n4'])
    await expectWhole(cluster)
  })

  test('a start beside the end of the cluster leaves nothing open', async () => {
    const storage = inMemory()
    const cluster = await createCluster({ nodes: 3, storage })
    await cluster.stop('n3')
    const starting = cluster.restart('n3')
    await Promise.allSettled([cluster.close(), starting])
    expect(['n1', 'n2', 'n3'].map((node) => storage(node).status)).toEqual(['closed', 'closed', 'closed'])
    await expect(cluster.restart('n3')).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  })
})
