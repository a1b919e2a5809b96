import { compareBytes, utf8 } from '@atoll/core'
import { expect, it } from 'vitest'
import { type Page, pagesFrom, readPage } from '../src/handoff-pages.ts'
import type { Database } from '../src/index.ts'
import { VnodeLayout } from '../src/layout.ts'
import { RecordReader } from '../src/record-reader.ts'
import { content, id, makeHost, memoryStore, testRuntime, write } from './world.ts'

const KIB = 1024
const PARTITION = 1
const layout = new VnodeLayout(PARTITION)

/** Counts the rows that iterators hand out. */
function counting(database: Database) {
  const read = { rows: 0 }
  const counted = new Proxy(database, {
    get: (target, key) => {
      if (key !== 'iterator') return Reflect.get(target, key, target)
      return (options: Parameters<Database['iterator']>[0]) => {
        const iterator = target.iterator(options)
        const nextv = iterator.nextv.bind(iterator) as (size: number) => Promise<[]>
        const nextvCounted = async (size: number) => {
          const rows = await nextv(size)
          read.rows += rows.length
          return rows
        }
        return Object.assign(iterator, { nextv: nextvCounted })
      }
    },
  })
  return { counted, read }
}

async function filled(records: number, bytes: (at: number) => number) {
  const runtime = testRuntime()
  const { database } = memoryStore()
  const host = makeHost(database, runtime)
  await host.open()
  for (let at = 0; at < records; at++) {
    const value = new Uint8Array(bytes(at))
    await host.coordinate(write(id(`k${String(at).padStart(3, '0')}`), content(value), PARTITION))
  }
  const { counted, read } = counting(database)
  const reader = new RecordReader(runtime, counted)
  const limits = { pageRecords: 16, pageBytes: 20 * KIB }
  const page = (cursor: Uint8Array | undefined) =>
    readPage(
      { runtime, database: counted, reader, layout, limits },
      layout.rangesAfter(cursor, { hasOlder: false }),
    )
  return { host, page, read }
}

it.each([
  ['small', () => 10],
  ['middling', () => 6 * KIB],
  ['large', () => 15 * KIB],
  ['larger than a page', () => 30 * KIB],
])('pages of %s records read each of them once', async (_what, bytes) => {
  const { host, page, read } = await filled(50, bytes)
  const pages: Page[] = []
  for await (const one of pagesFrom(undefined, page)) pages.push(one)
  const keys = pages.flatMap(({ records }) => records.map((record) => record.id.key))
  const expected = Array.from({ length: 50 }, (_, at) => utf8(`k${String(at).padStart(3, '0')}`))
  expect(keys.sort(compareBytes)).toEqual(expected)
  expect(read.rows).toBe(50)
  await host.close()
})

it('pages of records of all sizes have them all, and keep to their limits', async () => {
  const { host, page } = await filled(60, (at) => (at % 7 === 0 ? 12 * KIB : 100 * (at % 9)))
  let records = 0
  for await (const one of pagesFrom(undefined, page)) {
    records += one.records.length
    expect(one.records.length).toBeLessThanOrEqual(16)
    if (one.records.length > 1)
      expect(one.records.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(20 * KIB)
  }
  expect(records).toBe(60)
  await host.close()
})

it('pages are read while the one before is in use, and no more once the loop is left', async () => {
  const { host, page } = await filled(40, () => 6 * KIB)
  const asked: (Uint8Array | undefined)[] = []
  const noted = (cursor: Uint8Array | undefined) => {
    asked.push(cursor)
    return page(cursor)
  }
  for await (const one of pagesFrom(undefined, noted)) {
    expect(asked.at(-1)).toEqual(one.next)
    if (asked.length === 3) break
  }
  expect(asked).toHaveLength(3)
  const failing = (cursor: Uint8Array | undefined) =>
    cursor === undefined ? page(cursor) : Promise.reject(new Error('the disk is gone'))
  const pages = pagesFrom(undefined, failing)
  expect((await pages.next()).value?.records).toHaveLength(3)
  await expect(pages.next()).rejects.toThrow('the disk is gone')
  await host.close()
})
