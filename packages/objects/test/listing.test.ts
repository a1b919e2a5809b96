import { compareBytes, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MANIFESTS_TYPE, type ObjectPage, ObjectStore } from '../src/index.ts'
import { ListWalk } from '../src/list-walk.ts'
import { md5 } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

async function storeOf(keys: readonly string[]) {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv })
  await store.createBucket('reef')
  for (const key of keys) await store.put('reef', key, key)
  return { runtime, kv, store }
}

interface Question {
  readonly prefix: string
  readonly delimiter?: string | undefined
  readonly after?: string | undefined
}

/** Every item in the order of bytes: what a listing means, without any thought of what it costs. */
function expectedItems(keys: readonly string[], { prefix, delimiter, after }: Question): string[] {
  const items = keys
    .filter((key) => key.startsWith(prefix))
    .map((key) => {
      const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length)
      return at < 0 ? `key ${key}` : `prefix ${key.slice(0, at + (delimiter ?? '').length)}`
    })
  const nameOf = (item: string) => utf8(item.slice(item.indexOf(' ') + 1))
  return [...new Set(items)]
    .filter((item) => after === undefined || compareBytes(nameOf(item), utf8(after)) > 0)
    .sort((a, b) => compareBytes(nameOf(a), nameOf(b)))
}

function itemsOf({ objects, prefixes }: ObjectPage): string[] {
  return [...objects.map(({ key }) => `key ${key}`), ...prefixes.map((prefix) => `prefix ${prefix}`)]
}

/** Few characters, so that prefixes and delimiters meet; some of which UTF-16 sorts differently than UTF-8. */
const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '-', '\0', 'ÿ', '\uffee', '🏝'), maxLength: 5 })

test('listings are what a sorted list says, page by page, with any prefix, delimiter and start', async () => {
  const keys = fc.uniqueArray(
    text.filter((key) => key !== ''),
    { maxLength: 25 },
  )
  const shape = fc.record({
    prefix: fc.oneof(fc.constant(''), text),
    delimiter: fc.option(fc.constantFrom('/', '-', '//', 'a', '🏝'), { nil: undefined }),
    after: fc.option(text, { nil: undefined }),
    limit: fc.integer({ min: 1, max: 4 }),
    pageLimit: fc.constantFrom(1, 2, 1000),
    grouping: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(keys, shape, async (all, { pageLimit, grouping, limit, after, ...rest }) => {
      const { store, kv } = await storeOf(all)
      kv.grouping = grouping
      kv.pageLimit = pageLimit
      const found: string[] = []
      let start = after
      do {
        // A walk that does not move on must fail, not go on for ever.
        expect(found.length).toBeLessThanOrEqual(all.length)
        const page: ObjectPage = await store.list('reef', { ...rest, after: start, limit })
        const items = itemsOf(page)
        expect(items.length).toBeLessThanOrEqual(limit)
        if (page.next !== undefined) expect(items.length).toBe(limit)
        expect(page.objects.map(({ key }) => key)).toEqual(
          items.filter((i) => i.startsWith('key ')).map((i) => i.slice(4)),
        )
        found.push(
          ...items.sort((a, b) =>
            compareBytes(utf8(a.slice(a.indexOf(' ') + 1)), utf8(b.slice(b.indexOf(' ') + 1))),
          ),
        )
        start = page.next
      } while (start !== undefined)
      expect(found).toEqual(expectedItems(all, { ...rest, after }))
    }),
    { numRuns: 150 },
  )
})

test('a listing shows what a get shows, and only what is visible', async () => {
  const { store, runtime } = await storeOf(['a', 'b', 'c', 'd'])
  runtime.advance(1000)
  await store.put('reef', 'b', 'a new one')
  await store.delete('reef', 'c')
  const { objects } = await store.list('reef')
  const now = runtime.clock.wallMs()
  expect(objects).toEqual([
    { key: 'a', size: 1, etag: md5(utf8('a')), lastModifiedMs: now - 1000 },
    { key: 'b', size: 9, etag: md5(utf8('a new one')), lastModifiedMs: now },
    { key: 'd', size: 1, etag: md5(utf8('d')), lastModifiedMs: now - 1000 },
  ])
  const all: string[] = []
  for await (const { key } of store.listAll('reef', { after: 'a' })) all.push(key)
  expect(all).toEqual(['b', 'd'])
})

describe('a page costs the page', () => {
  const keys = Array.from({ length: 25 }, (_, folder) =>
    Array.from(
      { length: 30 },
      (_, file) => `${String(folder).padStart(2, '0')}/${String(file).padStart(2, '0')}`,
    ),
  ).flat()

  test('without a delimiter it reads what it shows and one entry more', async () => {
    const { store, kv } = await storeOf(keys)
    kv.scanned = 0
    const page = await store.list('reef', { limit: 100, after: '20/29' })
    expect(page.objects.length).toBe(100)
    expect(kv.scanned).toBe(101)
    expect(kv.operations('scan', MANIFESTS_TYPE)).toBe(1)
  })

  test('with a delimiter it does not read what lies below a common prefix', async () => {
    const { store, kv } = await storeOf(keys)
    kv.scanned = 0
    const page = await store.list('reef', { delimiter: '/', limit: 10, after: '09/' })
    expect(page.prefixes).toEqual(['10/', '11/', '12/', '13/', '14/', '15/', '16/', '17/', '18/', '19/'])
    expect(page.next).toBe('19/')
    expect(kv.scanned).toBe(11)
    kv.scanned = 0
    const flat = await store.list('reef', { delimiter: '/', prefix: '07/' })
    expect(flat.objects.length).toBe(30)
    expect(kv.scanned).toBe(30)
    expect(kv.operations('scan', MANIFESTS_TYPE)).toBe(2)
  })

  test('deleted objects are not read', async () => {
    const { store, kv } = await storeOf(keys.slice(0, 100))
    for (const key of keys.slice(0, 99)) await store.delete('reef', key)
    kv.scanned = 0
    expect((await store.list('reef')).objects.length).toBe(1)
    expect(kv.scanned).toBe(1)
  })
})

test('a walk goes on over pages that are empty', () => {
  const walk = new ListWalk({ prefix: '', delimiter: '/', after: undefined, limit: 5 })
  const entry = (name: string) => ({ term: utf8(name), bucket: utf8('b'), key: utf8(name), payloads: [] })
  walk.take({ entries: [], next: utf8('1') })
  expect(walk.scan).toMatchObject({ after: utf8('1') })
  walk.take({ entries: [entry('a/1'), entry('a/2')], next: utf8('2') })
  expect(walk.scan).toMatchObject({ after: utf8('2'), limit: 5 })
  walk.take({ entries: [], next: utf8('3') })
  expect(walk.scan).toMatchObject({ after: utf8('3'), groups: { prefix: utf8(''), delimiter: utf8('/') } })
  walk.take({ entries: [entry('b')], next: undefined })
  expect(walk.scan).toBeUndefined()
  expect([walk.prefixes, walk.entries.map(({ name }) => name), walk.next]).toEqual([['a/'], ['b'], undefined])
})
