import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromUtf8 } from '@atoll/core'
import { afterAll, expect, test } from 'vitest'
import { type AtollNode, openNode } from '../src/index.ts'

const work = mkdtempSync(join(tmpdir(), 'atoll-golden-buckets-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

/** A directory of a build that knew no ids of buckets: in `shore` there are `a\0b`, of 11 bytes, and `large`, of 20,000. */
function unpack(): string {
  const place = join(work, 'node')
  cpSync(join(import.meta.dirname, 'golden/indexes-by-partition/closed'), place, { recursive: true })
  for (const name of readdirSync(join(place, 'log')).filter((file) => file.endsWith('.segment'))) {
    const segment = join(place, 'log', name)
    truncateSync(segment, readFileSync(segment).readUIntLE(32, 6))
  }
  return place
}

async function sizesIn({ objects }: AtollNode): Promise<readonly (readonly [string, number])[]> {
  return (await objects.list('shore')).objects.map(({ key, size }) => [key, size] as const)
}

const bucketsOf = async ({ objects }: AtollNode, key: string) =>
  new Set((await objects.recordsOf('shore', key)).map(({ bucket }) => Buffer.from(bucket).toString('latin1')))

test('buckets of a directory of before go on under their names, and the next ones have ids', async () => {
  const path = unpack()
  const first = await openNode({ path })
  expect((await first.objects.listBuckets()).buckets.map(({ name, id }) => [name, id])).toEqual([
    ['reef', undefined],
    ['shore', undefined],
  ])
  await first.objects.put('shore', 'new', 'coral')
  await first.objects.put('shore', 'wide', Buffer.alloc(70_000, 1))
  await first.close()

  const second = await openNode({ path })
  expect(await sizesIn(second)).toEqual([
    ['a\0b', 11],
    ['large', 20_000],
    ['new', 5],
    ['wide', 70_000],
  ])
  for (const key of ['large', 'new', 'wide']) expect(await bucketsOf(second, key)).toEqual(new Set(['shore']))
  const chunks: Uint8Array[] = []
  for await (const chunk of (await second.objects.get('shore', 'new')).body) chunks.push(chunk)
  expect(fromUtf8(Buffer.concat(chunks))).toBe('coral')
  await expect(second.objects.deleteBucket('shore')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_EMPTY' })
  for (const [key] of await sizesIn(second)) await second.objects.delete('shore', key)
  await second.objects.deleteBucket('shore')
  await expect(second.objects.list('shore')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
  const { id } = await second.objects.createBucket('shore')
  expect(id).toMatch(/^[0-9a-f]{32}$/)
  await second.objects.put('shore', 'large', 'small now')
  await second.close()

  const third = await openNode({ path })
  expect(await third.objects.headBucket('shore')).toMatchObject({ id })
  expect(await sizesIn(third)).toEqual([['large', 9]])
  expect(await bucketsOf(third, 'large')).toEqual(new Set([Buffer.from(id ?? '', 'hex').toString('latin1')]))
  await third.objects.delete('shore', 'large')
  await third.objects.deleteBucket('shore')
  expect((await third.objects.createBucket('shore')).id).not.toBe(id)
  expect((await third.objects.listBuckets()).buckets.map(({ name }) => name)).toEqual(['reef', 'shore'])
  await third.close()
})
