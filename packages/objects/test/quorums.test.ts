import { KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { BLOCKS_TYPE, BUCKETS_TYPE, type KvStore, MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

/** A store, and what its calls ask of the key-value store for each kind of record. */
async function setUp() {
  const kv = new MemoryKv()
  const asked: [string, object][] = []
  const note = (call: string, type: string, options: object = {}) => {
    const {
      signal: _,
      accept: __,
      shows: ___,
      known: _____,
      context: ____,
      ...quorum
    } = { ...options } as Record<string, unknown>
    asked.push([`${call} ${type}`, quorum])
  }
  const noting: KvStore = {
    get: (id, options) => {
      note('get', id.type, options)
      return kv.get(id, options)
    },
    put: (id, write, options) => {
      note('put', id.type, options)
      return kv.put(id, write)
    },
    delete: (id, options) => {
      note('delete', id.type, options)
      return kv.delete(id, options)
    },
    scan: (scan, options) => {
      note('scan', scan.type, options)
      return kv.scan(scan)
    },
  }
  const runtime = manualRuntime()
  const store = new ObjectStore(runtime, { kv: noting }, { blockBytes: 4 * KiB, inlineBytes: 10 })
  await store.createBucket('reef')
  await store.put('reef', 'a', pattern(9 * KiB))
  asked.length = 0
  const of = (call: string) => asked.filter(([name]) => name === call).map(([, quorum]) => quorum)
  // What is known of the bucket is too old.
  runtime.advance(1000)
  return { store, of }
}

const READ = {
  n: 3,
  r: 1,
  pr: 0,
  notfoundOk: true,
  basicQuorum: false,
  absence: 'any',
  sloppy: false,
  timeoutMs: 500,
} as const
const WRITE = { n: 3, w: 'all', dw: 2, pw: 'quorum', sloppy: false, timeoutMs: 500 } as const
const BOTH = { ...READ, ...WRITE }

test('what a read asks of the replicas goes to the manifest, to every block and to the index', async () => {
  const { store, of } = await setUp()
  await readAll((await store.get('reef', 'a', READ)).body)
  await store.head('reef', 'a', READ)
  await store.recordsOf('reef', 'a', READ)
  await store.list('reef', READ)
  expect(of(`get ${MANIFESTS_TYPE}`)).toEqual([READ, READ, READ])
  expect(of(`get ${BLOCKS_TYPE}`)).toEqual([READ, READ, READ])
  expect(of(`scan ${MANIFESTS_TYPE}`)).toEqual([READ])
})

test('what a write asks of the replicas goes to the version and to every block', async () => {
  const { store, of } = await setUp()
  await store.put('reef', 'b', pattern(9 * KiB), WRITE)
  expect(of(`put ${BLOCKS_TYPE}`)).toEqual([WRITE, WRITE, WRITE])
  expect(of(`put ${MANIFESTS_TYPE}`).at(-1)).toEqual(WRITE)
  await store.put('reef', 'c', 'small', WRITE)
  expect(of(`put ${MANIFESTS_TYPE}`).at(-1)).toEqual(WRITE)
})

test('what is asked for a deletion goes to its write, and to every read before and after', async () => {
  const { store, of } = await setUp()
  await store.delete('reef', 'a', BOTH)
  expect(of(`put ${MANIFESTS_TYPE}`)).toEqual([WRITE])
  expect(of(`get ${MANIFESTS_TYPE}`)).toEqual([READ, READ])
  await store.delete('reef', 'none', BOTH)
  expect(of(`get ${MANIFESTS_TYPE}`)).toEqual([READ, READ, READ])
  expect(of(`get ${BUCKETS_TYPE}`)).toEqual([READ, READ])
})

test('what is asked for a bucket goes to its record, and to the look whether it is empty', async () => {
  const { store, of } = await setUp()
  await store.createBucket('atoll', BOTH)
  expect(of(`get ${BUCKETS_TYPE}`)).toEqual([READ])
  expect(of(`put ${BUCKETS_TYPE}`)).toEqual([WRITE])
  await store.headBucket('atoll', READ)
  await store.listBuckets(READ)
  expect(of(`get ${BUCKETS_TYPE}`)).toEqual([READ, READ])
  expect(of(`scan ${BUCKETS_TYPE}`)).toEqual([READ])
  await store.deleteBucket('atoll', BOTH)
  expect(of(`get ${BUCKETS_TYPE}`)).toEqual([READ, READ, READ, READ])
  expect(of(`scan ${MANIFESTS_TYPE}`), 'before it closes, and when nobody can put any more').toEqual([
    READ,
    READ,
  ])
  expect(of(`put ${BUCKETS_TYPE}`), 'created, closing, deleted').toEqual([WRITE, WRITE, WRITE])
})

test('a read of what is not there asks for the bucket in the same way', async () => {
  const { store, of } = await setUp()
  for (const call of ['get', 'head', 'recordsOf'] as const)
    await expect(store[call]('reef', 'none', READ)).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
  await store.list('reef', READ)
  expect(of(`get ${BUCKETS_TYPE}`)).toEqual([READ, READ, READ, READ])
})

test.each<[object, RegExp]>([
  [{ r: 'most' }, /r must be a number, one, quorum or all, got "most"/],
  [{ r: -1 }, /r must be an integer from 0 to 16, got -1/],
  [{ pr: 17 }, /pr must be an integer/],
  [{ n: 0 }, /n must be an integer from 1 to 16/],
  [{ sloppy: 'no' }, /sloppy must be a boolean/],
  [{ absence: 'maybe' }, /absence must be primaries or any, got "maybe"/],
  [{ timeoutMs: 0 }, /timeoutMs must be an integer from 1/],
  [{ w: 1 }, /no option "w"/],
])('a read cannot have the options %j', async (options, message) => {
  const { store } = await setUp()
  for (const call of [
    () => store.get('reef', 'a', options),
    () => store.head('reef', 'a', options),
    () => store.list('reef', options),
    () => store.headBucket('reef', options),
    () => store.listBuckets(options),
  ])
    await expect(call()).rejects.toThrow(message)
})

test.each<[object, RegExp]>([
  [{ r: 'most' }, /r must be a number, one, quorum or all, got "most"/],
  [{ w: 'most' }, /w must be a number, one, quorum or all, got "most"/],
  [{ absence: 'maybe' }, /absence must be primaries or any, got "maybe"/],
  [{ rw: 1 }, /no option "rw"/],
])('a call that reads and writes cannot have the options %j', async (options, message) => {
  const { store } = await setUp()
  for (const call of [
    () => store.createBucket('atoll', options),
    () => store.deleteBucket('reef', options),
    () => store.delete('reef', 'a', options),
  ])
    await expect(call()).rejects.toThrow(message)
})

test.each<[object, RegExp]>([
  [{ w: 'most' }, /w must be a number, one, quorum or all, got "most"/],
  [{ dw: 1.5 }, /dw must be an integer from 0 to 16, got 1.5/],
  [{ pw: {} }, /pw must be a number/],
  [{ r: 1 }, /no option "r"/],
])('a put cannot have the options %j', async (options, message) => {
  const { store } = await setUp()
  await expect(store.put('reef', 'a', 'x', options)).rejects.toThrow(message)
})
