import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type AtollNode, type ObjectPage, openNode } from '../src/index.ts'
import { unpacked } from './golden/unpacked.ts'

const work = mkdtempSync(join(tmpdir(), 'atoll-golden-indexes-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

/**
 * Directories whose index entries lie by partition, as they did before the third format of the database: closed, or left
 * by a process that was killed. In the bucket `reef` 60 objects were put, every fifth deleted, and some put again.
 */
const KINDS = ['closed', 'killed', 'older-killed']

const keyOf = (at: number) => `${at % 6}/fish-${String(at).padStart(3, '0')}`
const ALL = Array.from({ length: 60 }, (_, at) => at)
const isThere = (at: number) => at % 5 !== 0 || at % 7 === 1
const KEYS = ALL.filter(isThere).map(keyOf).sort()

const unpack = (kind: string) => unpacked(`indexes-by-partition/${kind}`, work)

async function expectAll({ objects }: AtollNode, more: readonly string[] = []): Promise<void> {
  const listed: string[] = []
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page: ObjectPage = await objects.list('reef', { limit: 7, ...(after === '' ? {} : { after }) })
    listed.push(...page.objects.map(({ key }) => key))
    after = page.next
  }
  expect(listed).toEqual([...KEYS, ...more].sort())
  const folders = await objects.list('reef', { delimiter: '/' })
  expect(folders.prefixes).toEqual(['0/', '1/', '2/', '3/', '4/', '5/'])
  expect((await objects.list('shore')).objects.map(({ key, size }) => [key, size])).toEqual([
    ['a\0b', 11],
    ['large', 20_000],
  ])
  expect((await objects.listBuckets()).buckets.map(({ name }) => name)).toEqual(['reef', 'shore'])
}

test.each(KINDS)('%s: is listed while its entries are brought in order, and goes on', async (kind) => {
  const path = unpack(kind)
  const node = await openNode({ path })
  await expectAll(node)
  await node.objects.put('reef', '3/new', Buffer.from('new'))
  await expectAll(node, ['3/new'])
  await node.vnodes.converted
  await expectAll(node, ['3/new'])
  await node.objects.delete('reef', '3/new')
  await node.close()
  const again = await openNode({ path })
  await expectAll(again)
  await again.close()
})

test('is gone on with from wherever it was cut', async () => {
  const path = unpack('closed')
  const node = await openNode({ path })
  const copies: string[] = []
  let settled = false
  void node.vnodes.converted.then(() => {
    settled = true
  })
  while (!settled && copies.length < 4) {
    // What a power cut would leave: entries of some partitions are where they were, others are where they belong.
    const copy = join(work, `cut-${copies.length}`)
    cpSync(path, copy, { recursive: true })
    copies.push(copy)
    await node.objects.put('reef', '3/new', Buffer.from(`new ${copies.length}`))
  }
  await node.vnodes.converted
  await node.close()
  expect(copies.length).toBeGreaterThan(1)
  for (const [at, copy] of copies.entries()) {
    const cut = await openNode({ path: copy })
    const more = at === 0 ? [] : ['3/new']
    await expectAll(cut, more)
    await cut.vnodes.converted
    await expectAll(cut, more)
    await cut.close()
  }
})
