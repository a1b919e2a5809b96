import { KiB } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { createCluster } from '../src/index.ts'

test.each([
  ['inline', 16_000, 300],
  ['in blocks', 20_000, 90],
])('many puts of one key at once through all nodes, %s, are all answered', async (_, bytes, count) => {
  const cluster = await createCluster({
    nodes: 3,
    partitions: 8,
    storage: () => new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' }),
    objects: { blockBytes: 8 * KiB },
  })
  try {
    const stores = cluster.nodes.map(({ objects }) => objects)
    const [first] = stores
    if (first === undefined) throw new Error('three nodes')
    await first.createBucket('reef')
    const puts = Array.from({ length: count }, (_, n) =>
      stores[n % stores.length]?.put('reef', 'a', new Uint8Array(bytes).fill(n)),
    )
    const answers = await Promise.all(puts)
    const [last] = await Promise.all(stores.map((objects) => objects.head('reef', 'a')))
    expect(answers.map((answer) => answer?.etag)).toContain(last?.etag)
    // One version is left, and no block of another one.
    await first.collect({ leewayMs: 0 })
    expect((await first.list('reef')).objects).toMatchObject([{ size: bytes, etag: last?.etag }])
    expect(await first.collect({ leewayMs: 0 })).toMatchObject({ versions: 0, blocks: 0, failed: 0 })
  } finally {
    await cluster.close()
  }
})
