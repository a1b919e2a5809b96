import { AtollError, fromUtf8, KiB } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { type BucketRecord, decodeBucket, encodeBucket, joinBuckets, nextLife } from '../src/bucket-record.ts'
import { bucketId } from '../src/bucket-records.ts'
import { BLOCKS_TYPE, BUCKETS_TYPE, MANIFESTS_TYPE, ObjectStore, type StorePeers } from '../src/index.ts'
import { pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv, type Operation } from './memory-kv.ts'

const OPTIONS = { blockBytes: 4 * KiB, inlineBytes: 100 }
const NOT_FOUND = { code: 'ATOLL_BUCKET_NOT_FOUND', definite: true }
const NONE_OF_BEFORE: StorePeers = { areThere: () => true, readIds: async () => true }

/** Nodes over one key-value store: each knows what it has heard. */
function setUp(peers: StorePeers = NONE_OF_BEFORE) {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const node = () => new ObjectStore(runtime, { kv, peers }, OPTIONS)
  const filedUnder = () =>
    new Set(
      [...kv.records.values()]
        .filter(({ id }) => id.type === MANIFESTS_TYPE || id.type === BLOCKS_TYPE)
        .map(({ id }) => Buffer.from(id.bucket).toString('latin1')),
    )
  return { runtime, kv, node, filedUnder }
}

/** Does something the first time that something is about to happen, or has. */
function once(isIt: (operation: Operation, type: string) => boolean, work: () => Promise<void>) {
  let isDone = false
  return async (operation: Operation, type: string) => {
    if (isDone || !isIt(operation, type)) return
    isDone = true
    await work()
  }
}

const listed = async (store: ObjectStore, bucket = 'reef') =>
  (await store.list(bucket)).objects.map(({ key }) => key)

const textOf = async (store: ObjectStore, key: string) =>
  fromUtf8(await readAll((await store.get('reef', key)).body))

describe('what comes late into a deleted bucket', () => {
  test.each([
    ['in its record', 50],
    ['in blocks', 9 * KiB],
  ])('never shows in the next bucket of that name: a body %s', async (_, bytes) => {
    const { kv, node, runtime } = setUp()
    const [one, two, three] = [node(), node(), node()]
    await one.createBucket('reef')
    const ofTheOwner = 'mine'
    let versions = 0
    const isVersion = (operation: Operation, type: string) =>
      operation === 'put' && type === MANIFESTS_TYPE && ++versions === (bytes > 100 ? 2 : 1)
    kv.before = once(isVersion, async () => {
      await two.deleteBucket('reef')
      await two.createBucket('reef')
      await two.put('reef', 'a', ofTheOwner)
    })
    await expect(one.put('reef', 'a', pattern(bytes))).rejects.toMatchObject(NOT_FOUND)
    for (const store of [one, two, three]) {
      expect(await textOf(store, 'a')).toBe(ofTheOwner)
      expect(await listed(store)).toEqual(['a'])
    }
    await two.delete('reef', 'a')
    await two.deleteBucket('reef')
    runtime.advance(25 * 3_600_000)
    expect(await one.collect()).toMatchObject({ failed: 0 })
    expect([kv.count(MANIFESTS_TYPE), kv.count(BLOCKS_TYPE)], 'and is cleared away').toEqual([0, 0])
  })

  test('is not there for a node that has heard of the old bucket last', async () => {
    const { node, kv } = setUp()
    const [one, two] = [node(), node()]
    await one.createBucket('reef')
    await one.put('reef', 'a', 'old')
    const old = await one.recordsOf('reef', 'a')
    const late = structuredClone([...kv.records.entries()].find(([, { id }]) => id.type === MANIFESTS_TYPE))
    await one.delete('reef', 'a')
    await two.deleteBucket('reef')
    await two.createBucket('reef')
    // A write that a replica was told late.
    kv.records.set(late?.[0] ?? '', late?.[1] ?? { id: bucketId('none'), siblings: [] })
    expect(await listed(one)).toEqual([])
    await expect(one.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
    expect(await one.delete('reef', 'a')).toEqual({ deleted: false })
    await one.put('reef', 'a', 'new')
    expect(await one.recordsOf('reef', 'a')).not.toEqual(old)
    expect(await textOf(two, 'a')).toBe('new')
  })
})

describe('while a bucket is being deleted', () => {
  const isClosing = (operation: Operation, type: string) => operation === 'put' && type === BUCKETS_TYPE

  test('what is acknowledged by earlier knowledge keeps it', async () => {
    const { kv, node } = setUp()
    const [one, two, three] = [node(), node(), node()]
    await one.createBucket('reef')
    kv.after = once(isClosing, async () => {
      expect(await one.put('reef', 'a', 'coral')).toMatchObject({ size: 5 })
    })
    await expect(two.deleteBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_EMPTY' })
    for (const store of [one, two, three]) expect(await textOf(store, 'a')).toBe('coral')
    await three.put('reef', 'b', 'x')
    expect(await listed(two)).toEqual(['a', 'b'])
  })

  test('it is there for readers, and for those who would create it', async () => {
    const { kv, node } = setUp()
    const [one, two, three] = [node(), node(), node()]
    await one.createBucket('reef')
    kv.after = once(isClosing, async () => {
      for (const store of [one, three]) {
        expect(await store.headBucket('reef')).toMatchObject({ name: 'reef' })
        expect((await store.listBuckets()).buckets).toHaveLength(1)
        expect(await listed(store)).toEqual([])
        await expect(store.get('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
        await expect(store.createBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_EXISTS' })
      }
    })
    await two.deleteBucket('reef')
    for (const store of [one, two, three]) await expect(listed(store)).rejects.toMatchObject(NOT_FOUND)
    expect((await three.listBuckets()).buckets).toEqual([])
  })

  test('a put that has heard of it waits for what becomes of it', async () => {
    const { kv, node } = setUp()
    const [one, two, three] = [node(), node(), node()]
    await one.createBucket('reef')
    let outcome: Promise<unknown> = Promise.resolve()
    kv.after = once(isClosing, async () => {
      outcome = three.put('reef', 'a', 'coral').catch((error: unknown) => error)
    })
    await two.deleteBucket('reef')
    expect(await outcome).toMatchObject(NOT_FOUND)
  })

  test('several who delete it agree', async () => {
    const { kv, node } = setUp()
    const stores = [node(), node(), node()]
    await stores[0]?.createBucket('reef')
    kv.before = () => Promise.resolve()
    const outcomes = await Promise.allSettled(stores.map((store) => store.deleteBucket('reef')))
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject(NOT_FOUND)
  })
})

describe('whoever was about to delete a bucket, and is gone', () => {
  async function abandoned() {
    const sea = setUp()
    const [one, two] = [sea.node(), sea.node()]
    await one.createBucket('reef')
    let isGone = false
    sea.kv.after = once(
      (operation, type) => operation === 'put' && type === BUCKETS_TYPE,
      async () => {
        isGone = true
      },
    )
    sea.kv.before = () => {
      if (isGone) throw new Error('there is no power')
    }
    await expect(two.deleteBucket('reef')).rejects.toThrow('there is no power')
    sea.kv.before = () => {}
    return { ...sea, one }
  }

  test('leaves a bucket that can be read, and is opened again by who wants to put', async () => {
    const { one, runtime, kv } = await abandoned()
    runtime.advance(1000)
    expect(await listed(one)).toEqual([])
    const closing = { code: 'ATOLL_OVERLOADED', transient: true, message: 'bucket "reef" is being deleted' }
    await expect(one.put('reef', 'a', 'coral')).rejects.toMatchObject(closing)
    runtime.advance(31_000)
    await one.put('reef', 'a', 'coral')
    expect(await textOf(one, 'a')).toBe('coral')
    const { siblings = [] } = [...kv.records.values()].find(({ id }) => id.type === BUCKETS_TYPE) ?? {}
    expect(siblings.map(({ value }) => decodeBucket(value).phase)).toEqual(['open'])
  })

  test('is followed by another one who deletes it', async () => {
    const { one, runtime } = await abandoned()
    await expect(one.deleteBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED' })
    runtime.advance(31_000)
    await one.deleteBucket('reef')
    await expect(one.headBucket('reef')).rejects.toMatchObject(NOT_FOUND)
  })
})

describe('a bucket of a build before', () => {
  /** As that build wrote it. */
  async function withOld() {
    const sea = setUp()
    const value = encodeBucket({
      createdMs: sea.runtime.clock.wallMs(),
      type: 'atoll',
      phase: 'open',
      life: undefined,
    })
    const id = bucketId('reef')
    const indexes = [{ index: 'list', scope: id.bucket, term: id.key, payload: value }]
    await sea.kv.put(id, { value, indexes })
    return sea
  }

  test('goes on under its name, and the next one of the name has an id', async () => {
    const { node, filedUnder, kv, runtime } = await withOld()
    const [one, two] = [node(), node()]
    expect(await one.headBucket('reef')).toMatchObject({ id: undefined })
    await one.put('reef', 'a', 'coral')
    await two.put('reef', 'large', pattern(9 * KiB))
    expect(filedUnder()).toEqual(new Set(['reef']))
    expect(await listed(two)).toEqual(['a', 'large'])
    expect(await textOf(two, 'a')).toBe('coral')
    await expect(two.deleteBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_EMPTY' })
    const late = [...kv.records].filter(([, { id }]) => id.type === MANIFESTS_TYPE)
    for (const key of ['a', 'large']) await one.delete('reef', key)
    await two.deleteBucket('reef')
    expect(kv.count(BUCKETS_TYPE)).toBe(0)
    await two.createBucket('reef')
    for (const [name, { id, siblings }] of late) kv.records.set(name, { id, siblings: [...siblings] })
    runtime.advance(1000)
    expect((await one.headBucket('reef')).id).toMatch(/^[0-9a-f]{32}$/)
    await expect(one.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
    await one.put('reef', 'b', 'new')
    expect(await listed(two)).toEqual(['b'])
    expect(filedUnder().size).toBe(2)
  })

  test('is what is created while a node is there that knows no ids', async () => {
    let readsIds = false
    const { node, filedUnder } = setUp({ areThere: () => true, readIds: async () => readsIds })
    const one = node()
    await one.createBucket('reef')
    await one.put('reef', 'a', 'coral')
    expect(filedUnder()).toEqual(new Set(['reef']))
    readsIds = true
    await one.createBucket('shore')
    expect((await one.headBucket('shore')).id).toBeDefined()
    expect(await textOf(one, 'a')).toBe('coral')
    readsIds = false
    await one.deleteBucket('shore')
    await one.createBucket('shore')
    expect((await one.headBucket('shore')).id, 'a name that has had ids goes on with them').toBeDefined()
  })
})

test('two who create a bucket at the same time share it', async () => {
  const { runtime, kv } = setUp()
  const before: BucketRecord = {
    createdMs: 1,
    type: 'atoll',
    phase: 'deleted',
    life: nextLife(runtime, 'reef', undefined),
  }
  const life = nextLife(runtime, 'reef', before.life)
  const records = [7, 5, 6].map((createdMs): BucketRecord => ({ ...before, createdMs, phase: 'open', life }))
  expect(joinBuckets([...records, before])).toEqual({ ...before, createdMs: 5, phase: 'open', life })
  for (const record of records) await kv.put(bucketId('reef'), { value: encodeBucket(record) })
  const stores = [1, 2].map((seed) => new ObjectStore(manualRuntime(seed), { kv }, OPTIONS))
  for (const [at, store] of stores.entries()) await store.put('reef', `${at}`, 'x')
  for (const store of stores) expect(await listed(store)).toEqual(['0', '1'])
})

test('where the record of a bucket cannot be read, what was known of it is enough for what is there', async () => {
  const { kv, node, runtime } = setUp()
  const one = node()
  await one.createBucket('reef')
  await one.put('reef', 'a', 'coral')
  runtime.advance(3_600_000)
  kv.before = (_, type) => {
    if (type === BUCKETS_TYPE) throw new AtollError('ATOLL_QUORUM_UNMET', 'nobody answers')
  }
  expect(await textOf(one, 'a')).toBe('coral')
  for (const call of [one.head('reef', 'none'), one.list('reef'), one.put('reef', 'b', 'x')])
    await expect(call).rejects.toMatchObject({ code: 'ATOLL_QUORUM_UNMET' })
  expect(await one.delete('reef', 'a')).toEqual({ deleted: true })
  await expect(node().head('reef', 'a'), 'who knows nothing of it').rejects.toMatchObject({
    code: 'ATOLL_QUORUM_UNMET',
  })
})
