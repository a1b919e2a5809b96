import { compareBytes, type KeyId, utf8 } from '@atoll/core'
import { createWorld } from '@atoll/sim'
import fc from 'fast-check'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test } from 'vitest'
import { LevelKvStore } from '../src/index.ts'
import { manualRuntime } from './manual-runtime.ts'
import { DATABASES } from './stores.ts'

const runtime = manualRuntime()

function id(key: string, type = 'atoll.manifests'): KeyId {
  return { type, bucket: utf8('bucket'), key: utf8(key) }
}

async function texts(kv: LevelKvStore, key: KeyId): Promise<string[]> {
  const { values } = await kv.get(key)
  return values.map(({ value }) => new TextDecoder().decode(value)).sort()
}

describe.each(Object.entries(DATABASES))('LevelKvStore on %s', (_name, open) => {
  test('a write with the context of a read replaces what was read, and nothing else', async () => {
    await using database = await open()
    const kv = new LevelKvStore(runtime, { database })
    await kv.put(id('a'), { value: utf8('one') })
    const first = await kv.get(id('a'))
    await kv.put(id('a'), { value: utf8('blind') })
    expect(await texts(kv, id('a'))).toEqual(['blind', 'one'])
    await kv.put(id('a'), { value: utf8('two'), context: first.context })
    expect(await texts(kv, id('a'))).toEqual(['blind', 'two'])
    const all = await kv.get(id('a'))
    await kv.put(id('a'), { value: utf8('three'), context: all.context })
    expect(await texts(kv, id('a'))).toEqual(['three'])
  })

  test('a delete takes what its context covers, or everything', async () => {
    await using database = await open()
    const kv = new LevelKvStore(runtime, { database })
    await kv.put(id('a'), { value: utf8('one') })
    const { context } = await kv.get(id('a'))
    await kv.put(id('a'), { value: utf8('two') })
    await kv.delete(id('a'), { context })
    expect(await texts(kv, id('a'))).toEqual(['two'])
    await kv.delete(id('a'))
    expect(await kv.get(id('a'))).toEqual({ values: [], context: undefined })
    await kv.delete(id('a'))
  })

  test('a context of a deleted record covers nothing that was written later', async () => {
    await using database = await open()
    const kv = new LevelKvStore(runtime, { database })
    await kv.put(id('a'), { value: utf8('old') })
    const { context } = await kv.get(id('a'))
    await kv.delete(id('a'))
    const reopened = new LevelKvStore(runtime, { database })
    await reopened.put(id('a'), { value: utf8('new') })
    await reopened.put(id('a'), { value: utf8('late'), context })
    expect(await texts(reopened, id('a'))).toEqual(['late', 'new'])
  })

  test('index entries follow the record: all siblings of a term together, none of a value that is gone', async () => {
    await using database = await open()
    const kv = new LevelKvStore(runtime, { database })
    const entry = (term: string, payload: string) => ({
      index: 'list',
      scope: utf8('s'),
      term: utf8(term),
      payload: utf8(payload),
    })
    const listed = async () => {
      const { entries } = await kv.scan({ type: 'atoll.manifests', index: 'list', scope: utf8('s') })
      return entries.map(({ term, payloads }) => [
        String.fromCharCode(...term),
        ...payloads.map((p) => String.fromCharCode(...p)),
      ])
    }
    await kv.put(id('a'), { value: utf8('1'), indexes: [entry('t', 'p1'), entry('u', 'q1')] })
    await kv.put(id('a'), { value: utf8('2'), indexes: [entry('t', 'p2')] })
    expect(await listed()).toEqual([
      ['t', 'p1', 'p2'],
      ['u', 'q1'],
    ])
    const { context } = await kv.get(id('a'))
    await kv.put(id('a'), { value: utf8('3'), indexes: [entry('t', 'p3')], context })
    expect(await listed()).toEqual([['t', 'p3']])
    await kv.delete(id('a'))
    expect(await listed()).toEqual([])
  })

  test('writes to one key at the same time are all there', async () => {
    await using database = await open()
    const kv = new LevelKvStore(runtime, { database })
    const values = Array.from({ length: 20 }, (_, n) => `value ${n + 10}`)
    await Promise.all(values.map((value) => kv.put(id('a'), { value: utf8(value) })))
    expect(await texts(kv, id('a'))).toEqual(values)
  })

  test('a damaged record is missing, and counted; it can be written again', async () => {
    await using database = await open()
    const kv = new LevelKvStore(runtime, { database })
    for (const type of ['atoll.blocks', 'atoll.manifests']) {
      const keyId = id('damaged', type)
      const before = new Set((await database.allKeys()).map((key) => Buffer.from(key).toString('hex')))
      await kv.put(keyId, { value: utf8('a value that will rot') })
      const key = (await database.allKeys()).find(
        (k) => !before.has(Buffer.from(k).toString('hex')) && k.length > 1,
      )!
      const stored = (await database.get(key, { keyEncoding: 'view', valueEncoding: 'view' }))!
      for (let at = 0; at < stored.length; at++) {
        const rotten = stored.slice()
        rotten[at] = rotten[at]! ^ 0x10
        await database.batch([{ type: 'put', key, value: rotten }], {
          keyEncoding: 'view',
          valueEncoding: 'view',
          sync: false,
        })
        const found = runtime.metrics.value('atoll_level_kv_corrupt_records_total')
        expect((await kv.get(keyId)).values, `bit at ${at}`).toEqual([])
        expect(runtime.metrics.value('atoll_level_kv_corrupt_records_total')).toBe(found + 1)
      }
      await kv.put(keyId, { value: utf8('whole') })
      expect(await texts(kv, keyId)).toEqual(['whole'])
    }
  })

  test('a value belongs to whoever reads it', async () => {
    await using database = await open()
    const kv = new LevelKvStore(runtime, { database })
    await kv.put(id('b', 'atoll.blocks'), { value: utf8('block') })
    const [read] = (await kv.get(id('b', 'atoll.blocks'))).values
    read!.value.fill(0)
    expect(await texts(kv, id('b', 'atoll.blocks'))).toEqual(['block'])
  })

  test('scans are ordered by the bytes of the term, whatever is in it, and go on page by page', async () => {
    const term = fc
      .uint8Array({ maxLength: 5, max: 3 })
      .map((bytes) => bytes.map((byte) => (byte === 3 ? 0xff : byte)))
    const terms = fc.uniqueArray(term, { maxLength: 12, selector: (bytes) => bytes.join() })
    await fc.assert(
      fc.asyncProperty(
        terms,
        fc.option(term),
        fc.option(term),
        fc.integer({ min: 1, max: 4 }),
        async (all, from, to, limit) => {
          await using database = await open()
          const kv = new LevelKvStore(runtime, { database })
          for (const scope of [utf8('s'), utf8('s2')])
            for (const [n, each] of all.entries())
              await kv.put(
                { type: 'atoll.manifests', bucket: scope, key: new Uint8Array([n, 0]) },
                {
                  value: utf8('v'),
                  indexes: [{ index: 'list', scope, term: each, payload: new Uint8Array([n]) }],
                },
              )
          const found: Uint8Array[] = []
          let after: Uint8Array | undefined
          do {
            const page = await kv.scan({
              type: 'atoll.manifests',
              index: 'list',
              scope: utf8('s'),
              from: from ?? undefined,
              to: to ?? undefined,
              after,
              limit,
            })
            expect(page.entries.length).toBeLessThanOrEqual(limit)
            for (const entry of page.entries) {
              expect(all[entry.key[0]!]).toEqual(entry.term)
              expect(entry).toEqual({
                term: entry.term,
                bucket: utf8('s'),
                key: new Uint8Array([entry.key[0]!, 0]),
                payloads: [entry.key.slice(0, 1)],
              })
              found.push(entry.term)
            }
            after = page.next
          } while (after !== undefined)
          const inRange = (bytes: Uint8Array) =>
            (from === null || compareBytes(bytes, from) >= 0) && (to === null || compareBytes(bytes, to) < 0)
          expect(found).toEqual(all.filter(inRange).sort(compareBytes))
        },
      ),
      { numRuns: _name === 'classic-level' ? 3 : 60 },
    )
  })
})

test('writes past the limit are refused, those before it succeed', async () => {
  const kv = new LevelKvStore(runtime, { database: new MemoryLevel() }, { maxWrites: 3 })
  const puts = await Promise.allSettled([1, 2, 3, 4].map((n) => kv.put(id('a'), { value: utf8(`${n}`) })))
  expect(puts.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected'])
  expect(puts[3]).toMatchObject({ reason: { code: 'ATOLL_OVERLOADED', definite: true } })
  await kv.put(id('a'), { value: utf8('5') })
})

test('any abstract-level database fits, whatever its encodings', async () => {
  const databases = [
    new MemoryLevel<string, object>({ valueEncoding: 'json' }),
    new MemoryLevel<Uint8Array, string>({ keyEncoding: 'view' }),
  ]
  for (const database of databases) {
    const kv = new LevelKvStore(runtime, { database })
    await kv.put(id('a'), { value: utf8('x') })
    expect(await texts(kv, id('a'))).toEqual(['x'])
  }
})

test('what the database throws is the cause', async () => {
  const database = new MemoryLevel()
  const kv = new LevelKvStore(runtime, { database })
  await database.close()
  await expect(kv.get(id('a'))).rejects.toMatchObject({
    code: 'ATOLL_CLOSED',
    cause: { code: 'LEVEL_DATABASE_NOT_OPEN' },
  })
  await expect(kv.put(id('a'), { value: utf8('x') })).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  const broken = {
    get: () => Promise.reject(new Error('disk on fire')),
    batch: () => Promise.reject(new Error('disk on fire')),
    iterator: () => ({ all: () => Promise.reject(new Error('disk on fire')) }),
  }
  const burning = new LevelKvStore(runtime, { database: broken })
  await expect(burning.get(id('a'))).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: true })
  await expect(burning.delete(id('a', 'atoll.blocks'))).rejects.toMatchObject({
    code: 'ATOLL_STORAGE',
    definite: false,
  })
  const scan = burning.scan({ type: 'atoll.manifests', index: 'list', scope: utf8('s') })
  await expect(scan).rejects.toMatchObject({ code: 'ATOLL_STORAGE', cause: { message: 'disk on fire' } })
})

test('every write is synced', async () => {
  const level = new MemoryLevel()
  const synced: boolean[] = []
  const database = {
    get: level.get.bind(level),
    iterator: level.iterator.bind(level),
    batch: (operations: Parameters<LevelBatch>[0], options: Parameters<LevelBatch>[1]) => {
      synced.push(options.sync)
      return level.batch(operations, options)
    },
  }
  type LevelBatch = import('../src/index.ts').LevelDatabase['batch']
  const kv = new LevelKvStore(runtime, { database })
  await kv.put(id('a'), { value: utf8('x') })
  await kv.put(id('a', 'atoll.blocks'), { value: utf8('x') })
  await kv.delete(id('a'))
  expect(new Set(synced)).toEqual(new Set([true]))
})

test('bad input is refused', async () => {
  const database = new MemoryLevel()
  expect(() => new LevelKvStore(runtime, { database }, { maxWrites: 0 })).toThrow(RangeError)
  expect(() => new LevelKvStore(runtime, { database }, JSON.parse('{"maxWrite":1}'))).toThrow(
    /no option "maxWrite"/,
  )
  const kv = new LevelKvStore(runtime, { database })
  const entry = { index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('p') }
  await expect(kv.put(id('a', 'atoll.blocks'), { value: utf8('x'), indexes: [entry] })).rejects.toThrow(
    RangeError,
  )
  await expect(kv.put(id('a'), { value: utf8('x'), context: utf8('?') })).rejects.toMatchObject({
    name: 'AtollError',
  })
  await expect(kv.scan({ type: 't', index: 'i', scope: utf8('s'), limit: 0 })).rejects.toThrow(RangeError)
})

test('after a failed write no more are taken until the database was closed and opened', async () => {
  const world = createWorld({ seed: 1, disk: { tornByFailure: true } })
  const disk = world.disk('n1')
  await world.run(async () => {
    await using database = disk.open()
    const kv = new LevelKvStore(world.runtime('n1'), { database })
    await kv.put(id('before'), { value: utf8('1') })
    disk.failWrites()
    const put = (key: string) => kv.put(id(key), { value: utf8(key) })
    await expect(put('failed')).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: false })
    const refused = { code: 'ATOLL_STORAGE', definite: true, transient: true }
    await expect(put('refused')).rejects.toMatchObject(refused)
    await expect(kv.delete(id('before'))).rejects.toMatchObject(refused)
    expect(await texts(kv, id('before'))).toEqual(['1'])
    await database.close()
    await database.open()
    await put('after')
    await database.close()
    await database.open()
    expect(await texts(kv, id('after'))).toEqual(['after'])
    expect(await texts(kv, id('before'))).toEqual(['1'])
  })
})
