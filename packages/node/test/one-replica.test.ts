import { KiB } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { createCluster } from '../src/index.ts'

test('a read that asks for one replica goes on with one of three nodes, and a write that asks for all does not', async () => {
  const cluster = await createCluster({
    nodes: 3,
    partitions: 8,
    storage: () => new MemoryLevel({ keyEncoding: 'view', valueEncoding: 'view' }),
    objects: { blockBytes: 4 * KiB },
  })
  try {
    const [first] = cluster.nodes
    if (first === undefined) throw new Error('three nodes')
    const { objects } = first
    await objects.createBucket('reef')
    const large = new Uint8Array(20 * KiB).fill(7)
    await objects.put('reef', 'large', large, { w: 'all', dw: 'all', pw: 'all' })
    await objects.put('reef', 'small', 'coral', { w: 'all', dw: 'all', pw: 'all' })
    await cluster.crash('n2')
    const unmet = { transient: true }
    await expect(objects.put('reef', 'small', 'sand', { pw: 'all' })).rejects.toMatchObject(unmet)
    await cluster.crash('n3')
    await expect(objects.head('reef', 'small')).rejects.toMatchObject(unmet)
    expect(await objects.head('reef', 'small', { r: 1 })).toMatchObject({ size: 5 })
    const { body } = await objects.get('reef', 'large', { r: 1 })
    const chunks: Uint8Array[] = []
    for await (const chunk of body) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(large)).toBe(true)
    const alone = { r: 1, w: 1, dw: 1, absence: 'any' } as const
    await expect(objects.headBucket('reef')).rejects.toMatchObject(unmet)
    expect(await objects.headBucket('reef', { r: 1 })).toMatchObject({ name: 'reef' })
    const none = { code: 'ATOLL_BUCKET_NOT_FOUND' }
    await expect(objects.headBucket('none', { r: 1, absence: 'any' })).rejects.toMatchObject(none)
    const nothing = { code: 'ATOLL_OBJECT_NOT_FOUND' }
    await expect(objects.head('reef', 'none', { r: 1, absence: 'any' })).rejects.toMatchObject(nothing)
    expect((await objects.list('reef', { r: 1, absence: 'any' })).objects).toHaveLength(2)
    await objects.createBucket('lagoon', alone)
    await objects.deleteBucket('lagoon', alone)
    await expect(objects.deleteBucket('lagoon', alone)).rejects.toMatchObject(none)
    expect(await objects.delete('reef', 'small', alone)).toEqual({ deleted: true })
    expect(await objects.delete('reef', 'small', alone)).toEqual({ deleted: false })
    // Two cannot be had.
    await expect(objects.head('reef', 'other', { r: 2 })).rejects.toMatchObject(unmet)
  } finally {
    await cluster.close()
  }
})
