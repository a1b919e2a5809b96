import { HOUR_MS, KiB } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { describe, expect, test } from 'vitest'
import { encodeBucket } from '../src/bucket-record.ts'
import { bucketId } from '../src/bucket-records.ts'
import {
  BLOCKS_TYPE,
  BUCKETS_TYPE,
  type KvStore,
  LevelKvStore,
  MANIFESTS_TYPE,
  ObjectStore,
} from '../src/index.ts'
import { pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const OPTIONS = { blockBytes: BLOCK, inlineBytes: 10 }

function setUp() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  for (const type of ['gold', 'silver'])
    kv.more.set(`${type}.manifests`, 'siblings').set(`${type}.blocks`, 'write-once')
  kv.more
    .set('odd.manifests', 'last-write-wins')
    .set('odd.blocks', 'write-once')
    .set('half.manifests', 'siblings')
  const store = () => new ObjectStore(runtime, { kv }, OPTIONS)
  return {
    runtime,
    kv,
    store,
    counts: () =>
      ['gold.manifests', 'gold.blocks', MANIFESTS_TYPE, BLOCKS_TYPE].map((type) => kv.count(type)),
  }
}

test('what a bucket holds is stored by the types that it was created with, whoever asks for it first', async () => {
  const { runtime, store, counts } = setUp()
  const info = await store().createBucket('reef', { type: 'gold' })
  const id = expect.stringMatching(/^[89a-f][0-9a-f]{31}$/)
  expect(info).toEqual({ name: 'reef', createdMs: runtime.clock.wallMs(), type: 'gold', id })
  expect(await store().headBucket('reef')).toEqual(info)
  expect((await store().listBuckets()).buckets).toEqual([info])
  const large = pattern(3 * BLOCK)
  expect(await store().put('reef', 'large', large)).toMatchObject({ size: large.length })
  await store().put('reef', 'small', 'coral')
  expect(counts()).toEqual([2, 3, 0, 0])
  const { body } = await store().get('reef', 'large')
  expect(Buffer.from(await readAll(body)).equals(large)).toBe(true)
  expect(await store().head('reef', 'small')).toMatchObject({ size: 5 })
  expect((await store().list('reef')).objects.map(({ key }) => key)).toEqual(['large', 'small'])
  const all: string[] = []
  for await (const { key } of store().listAll('reef')) all.push(key)
  expect(all).toEqual(['large', 'small'])
  const records = await store().recordsOf('reef', 'large')
  expect(records.map(({ type }) => type)).toEqual([
    'gold.manifests',
    'gold.blocks',
    'gold.blocks',
    'gold.blocks',
  ])
  await expect(store().head('reef', 'none')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
  await expect(store().deleteBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_EMPTY' })
  expect(await store().delete('reef', 'small')).toEqual({ deleted: true })
  expect(await store().delete('reef', 'large')).toEqual({ deleted: true })
  expect(await store().delete('reef', 'large')).toEqual({ deleted: false })
  runtime.advance(25 * HOUR_MS)
  expect(await store().collect()).toMatchObject({ blocks: 3, failed: 0 })
  expect(counts()).toEqual([0, 0, 0, 0])
  await store().deleteBucket('reef')
  await expect(store().headBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
})

test('a bucket that is there again with another type is found by every store, whatever it remembers', async () => {
  const { store, counts } = setUp()
  const stores = [store(), store()] as const
  const types = ['gold', 'atoll', 'silver', 'gold', 'atoll']
  for (const [at, type] of types.entries()) {
    const [maker, other] = at % 2 === 0 ? stores : [stores[1], stores[0]]
    await maker.createBucket('reef', { type })
    await other.put('reef', 'a', pattern(2 * BLOCK, at))
    for (const each of stores) {
      expect(await each.head('reef', 'a')).toMatchObject({ size: 2 * BLOCK })
      expect((await each.list('reef')).objects).toHaveLength(1)
      expect((await each.headBucket('reef')).type).toBe(type)
    }
    expect(await maker.delete('reef', 'a')).toEqual({ deleted: true })
    await maker.deleteBucket('reef')
    for (const each of stores)
      await expect(each.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
    await stores[0].collect({ leewayMs: 0 })
    expect(counts()).toEqual([0, 0, 0, 0])
  }
})

test('an upload into a bucket that was made anew with another type meanwhile finds no bucket', async () => {
  const { store, counts } = setUp()
  const one = store()
  await one.createBucket('reef')
  async function* body() {
    yield pattern(2 * BLOCK)
    await store().deleteBucket('reef')
    await store().createBucket('reef', { type: 'gold' })
    yield pattern(BLOCK)
  }
  await expect(one.put('reef', 'a', body())).rejects.toMatchObject({
    code: 'ATOLL_BUCKET_NOT_FOUND',
    definite: true,
  })
  expect(counts()).toEqual([0, 0, 0, 0])
})

test.each([
  [
    'none',
    /type must be a type for objects, of which "none.manifests" keeps siblings and "none.blocks" is written once, got "none"/,
  ],
  ['odd', /"odd.manifests" keeps siblings/],
  ['half', /"half.blocks" is written once/],
  ['', /type must be/],
  [7, /type must be a string, got 7/],
])('a bucket cannot have the type %j', async (type, message) => {
  const { store, kv } = setUp()
  await expect(store().createBucket('reef', { type: type as string })).rejects.toThrow(message)
  expect(kv.operations('put', BUCKETS_TYPE)).toBe(0)
})

test('one database has the default type alone', async () => {
  const runtime = manualRuntime()
  const database = new MemoryLevel<Uint8Array, Uint8Array>({ keyEncoding: 'view', valueEncoding: 'view' })
  const store = new ObjectStore(runtime, { kv: new LevelKvStore(runtime, { database }) })
  await expect(store.createBucket('reef', { type: 'gold' })).rejects.toThrow(RangeError)
  expect(await store.createBucket('reef', { type: 'atoll' })).toMatchObject({ type: 'atoll' })
  expect(await store.headBucket('reef')).toMatchObject({ type: 'atoll' })
})

describe('a node that does not know the type', () => {
  test('says so, and that it may pass', async () => {
    const { runtime, kv, store } = setUp()
    await store().createBucket('reef', { type: 'gold' })
    await store().put('reef', 'a', 'x')
    const view: KvStore = {
      get: (id, options) => kv.get(id, options),
      put: (id, write) => kv.put(id, write),
      delete: (id, options) => kv.delete(id, options),
      scan: (scan) => kv.scan(scan),
    }
    const late = new ObjectStore(runtime, { kv: view }, OPTIONS)
    const unknown = { code: 'ATOLL_FORMAT', transient: true, details: { type: 'gold' } }
    for (const call of [
      late.get('reef', 'a'),
      late.head('reef', 'a'),
      late.put('reef', 'a', 'y'),
      late.put('reef', 'a', pattern(2 * BLOCK)),
      late.delete('reef', 'a'),
      late.list('reef'),
      late.headBucket('reef'),
      late.deleteBucket('reef'),
    ])
      await expect(call).rejects.toMatchObject(unknown)
    expect((await late.listBuckets()).buckets).toMatchObject([{ name: 'reef', type: 'gold' }])
    await expect(late.createBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_EXISTS' })
  })
})

describe('a bucket that is only proposed', () => {
  const propose = async ({ kv, runtime }: ReturnType<typeof setUp>) => {
    const value = encodeBucket({
      createdMs: runtime.clock.wallMs(),
      type: 'silver',
      phase: 'proposed',
      life: undefined,
    })
    await kv.put(bucketId('reef'), { value })
  }

  test('is not there', async () => {
    const sea = setUp()
    await propose(sea)
    const store = sea.store()
    const none = { code: 'ATOLL_BUCKET_NOT_FOUND' }
    await expect(store.headBucket('reef')).rejects.toMatchObject(none)
    await expect(store.put('reef', 'a', 'x')).rejects.toMatchObject(none)
    await expect(store.deleteBucket('reef')).rejects.toMatchObject(none)
    expect((await store.listBuckets()).buckets).toEqual([])
  })

  test.each(['atoll', 'gold', 'silver'])("stands in nobody's way: %s", async (type) => {
    const sea = setUp()
    await propose(sea)
    await sea.store().createBucket('reef', { type })
    expect(await sea.store().headBucket('reef')).toMatchObject({ type })
    expect(sea.kv.records.get([...sea.kv.records.keys()][0] ?? '')?.siblings).toHaveLength(1)
  })

  test('is not begun where something else was begun meanwhile', async () => {
    const { kv, store } = setUp()
    let others = 0
    kv.before = async (operation, type) => {
      if (operation !== 'put' || type !== BUCKETS_TYPE || others++ > 0) return
      await store().createBucket('reef', { type: 'silver' })
    }
    await expect(store().createBucket('reef', { type: 'gold' })).rejects.toMatchObject({
      code: 'ATOLL_BUCKET_EXISTS',
    })
    expect(await store().headBucket('reef')).toMatchObject({ type: 'silver' })
  })
})
