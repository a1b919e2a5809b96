import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { KiB } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { BLOCKS_TYPE, LevelKvStore, MANIFESTS_TYPE, type ObjectBody, ObjectStore } from '../src/index.ts'
import { chunked, md5, pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'
import { DATABASES } from './stores.ts'

const BLOCK = 4 * KiB
const OPTIONS = { blockBytes: BLOCK, inlineBytes: 100, writeConcurrency: 3, readAhead: 3 }

async function memoryStore(options = {}) {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, { ...OPTIONS, ...options })
  await store.createBucket('reef')
  return { runtime, kv, store }
}

describe.each(Object.entries(DATABASES))('objects on %s', (_name, open) => {
  test('bodies of every size around the limits come back byte for byte', async () => {
    await using database = await open()
    const runtime = manualRuntime()
    const store = new ObjectStore(runtime, { kv: new LevelKvStore(runtime, { database }) }, OPTIONS)
    await store.createBucket('reef')
    const limits = [0, 1, 99, 100, 101, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 7 * BLOCK + 13]
    for (const size of limits) {
      const body = pattern(size, size + 1)
      for (const chunkBytes of [1000, BLOCK, 3 * BLOCK + 5]) {
        const put = await store.put('reef', `k${size}`, chunked(body, chunkBytes))
        expect(put).toEqual({ size, primaries: 1, etag: md5(body), lastModifiedMs: runtime.clock.wallMs() })
      }
      const object = await store.get('reef', `k${size}`)
      expect({ ...object, body: undefined }).toEqual({
        key: `k${size}`,
        size,
        etag: md5(body),
        contentType: 'application/octet-stream',
        metadata: {},
        lastModifiedMs: runtime.clock.wallMs(),
        range: { start: 0, end: size },
        body: undefined,
      })
      expect(Buffer.from(await readAll(object.body)).equals(body)).toBe(true)
    }
    const { objects } = await store.list('reef')
    expect(objects.map(({ key, size }) => [key, size])).toEqual(
      limits.map((size) => [`k${size}`, size] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    )
  })

  test('after everything is deleted and collected, nothing is left', async () => {
    await using database = await open()
    const runtime = manualRuntime()
    const store = new ObjectStore(runtime, { kv: new LevelKvStore(runtime, { database }) }, OPTIONS)
    const empty = (await database.allKeys()).length
    for (const bucket of ['one', 'two', 'three']) await store.createBucket(bucket)
    for (let circle = 0; circle < 3; circle++)
      for (const bucket of ['one', 'two', 'three'])
        for (const [n, size] of [0, 50, 3 * BLOCK, 10 * BLOCK + 1].entries())
          await store.put(bucket, `t-${n}`, chunked(pattern(size), 3000))
    await expect(
      store.put('one', 'broken', chunked(pattern(3 * BLOCK), 1000), { length: 5 }),
    ).rejects.toThrow()
    for (const bucket of ['one', 'two', 'three'])
      for await (const { key } of store.listAll(bucket)) await store.delete(bucket, key)
    const deletedMs = runtime.clock.monotonicMs()
    for (const bucket of ['one', 'two', 'three']) await store.deleteBucket(bucket)
    expect((await store.listBuckets()).buckets).toEqual([])
    runtime.advance(deletedMs + 24 * 3_600_000 - 1 - runtime.clock.monotonicMs())
    expect(await store.collect()).toMatchObject({ versions: 0, failed: 0 })
    runtime.advance(1)
    const collected = await store.collect()
    expect(collected).toMatchObject({ versions: 3 * 3 * 2, blocks: 3 * 3 * (3 + 11), failed: 0 })
    // The counter of writes stays, and of each name how many buckets have had it.
    expect((await database.allKeys()).length).toBe(empty + 1 + 3)
  })
})

test('every range of a body is what a buffer says', async () => {
  const { store } = await memoryStore({ inlineBytes: 9 })
  const sizes = [1, 9, 10, BLOCK, BLOCK + 1, 3 * BLOCK - 1]
  for (const size of sizes) {
    const body = pattern(size)
    await store.put('reef', 'a', body)
    const edges = [
      0,
      1,
      2,
      8,
      9,
      BLOCK - 1,
      BLOCK,
      BLOCK + 1,
      2 * BLOCK - 1,
      2 * BLOCK,
      size - 2,
      size - 1,
      size,
      size + 1,
    ]
    const offsets = [...new Set(edges)].filter((offset) => offset >= 0 && offset <= size + 1)
    for (const start of offsets) {
      for (const end of [undefined, ...offsets.filter((offset) => offset > start)]) {
        const read = store.get('reef', 'a', { range: { start, end } })
        if (start >= size) {
          await expect(read).rejects.toMatchObject({ code: 'ATOLL_RANGE', definite: true, details: { size } })
          continue
        }
        const object = await read
        const expected = body.subarray(start, end)
        expect(object.range).toEqual({ start, end: start + expected.length })
        expect(Buffer.from(await readAll(object.body)).equals(expected)).toBe(true)
      }
      if (start === 0) continue
      const tail = await store.get('reef', 'a', { range: { suffixLength: start } })
      expect(Buffer.from(await readAll(tail.body)).equals(body.subarray(-start))).toBe(true)
    }
  }
})

test('no range of an empty object has a byte', async () => {
  const { store } = await memoryStore()
  await store.put('reef', 'a', '')
  for (const range of [{ start: 0 }, { start: 0, end: 1 }, { suffixLength: 1 }])
    await expect(store.get('reef', 'a', { range })).rejects.toMatchObject({ code: 'ATOLL_RANGE' })
  expect(await readAll((await store.get('reef', 'a')).body)).toEqual(new Uint8Array(0))
})

test('a body may be bytes, text, a list, an iterable, a web stream or a Node stream', async () => {
  const { store } = await memoryStore()
  const bytes = pattern(2 * BLOCK + 7)
  const source = new URL(import.meta.url)
  const stream = () =>
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        controller.enqueue(bytes.subarray(0, 10))
        controller.enqueue(bytes.subarray(10))
        controller.close()
      },
    })
  const readerOnly = { getReader: () => stream().getReader() }
  const cases: [ObjectBody, Uint8Array][] = [
    [bytes, bytes],
    [Buffer.from(bytes), bytes],
    ['schön 🏝', new TextEncoder().encode('schön 🏝')],
    [[bytes.subarray(0, 5), new Uint8Array(0), bytes.subarray(5)], bytes],
    [chunked(bytes, 100), bytes],
    [stream(), bytes],
    [readerOnly, bytes],
    [createReadStream(source), new Uint8Array(await readFile(source))],
  ]
  for (const [body, expected] of cases) {
    const { etag } = await store.put('reef', 'a', body)
    expect(etag).toBe(md5(expected))
    const { body: read } = await store.get('reef', 'a')
    expect(Buffer.from(await readAll(read)).equals(expected)).toBe(true)
  }
})

test('what was said of an object is said again', async () => {
  const { store, runtime } = await memoryStore()
  const metadata = JSON.parse('{"colour":"türkis","__proto__":"kept","empty":""}')
  await store.put('reef', 'a', 'x', {
    contentType: 'text/plain; charset=utf-8',
    metadata,
    contentMd5: md5(Buffer.from('x')).toUpperCase(),
    length: 1,
  })
  const info = await store.head('reef', 'a')
  expect(info).toMatchObject({
    size: 1,
    contentType: 'text/plain; charset=utf-8',
    lastModifiedMs: runtime.clock.wallMs(),
  })
  expect(Object.entries(info.metadata)).toEqual(Object.entries(metadata))
})

test('a put replaces the object as a whole, and an object keeps its own block size', async () => {
  const { store, kv, runtime } = await memoryStore()
  const old = pattern(5 * BLOCK + 1)
  await store.put('reef', 'a', old, { metadata: { version: 'old' } })
  const coarse = new ObjectStore(runtime, { kv }, { blockBytes: 16 * KiB, inlineBytes: 0 })
  expect(Buffer.from(await readAll((await coarse.get('reef', 'a')).body)).equals(old)).toBe(true)
  await coarse.put('reef', 'a', pattern(20 * KiB))
  expect(await store.head('reef', 'a')).toMatchObject({ size: 20 * KiB, metadata: {} })
  expect((await store.recordsOf('reef', 'a')).map(({ type }) => type)).toEqual([
    MANIFESTS_TYPE,
    BLOCKS_TYPE,
    BLOCKS_TYPE,
  ])
})

test('a small put of a new key costs one write, and once a second a read of the bucket; over another, one read more', async () => {
  const { store, kv, runtime } = await memoryStore()
  kv.counts.clear()
  const order: string[] = []
  kv.before = async (operation, type) => {
    order.push(`${operation} ${type}`)
    await Promise.resolve()
  }
  await store.put('reef', 'b', pattern(100))
  expect(order, 'its creation has told').toEqual(['put atoll.manifests'])
  runtime.advance(1000)
  order.length = 0
  await store.put('reef', 'a', pattern(100))
  expect(order).toEqual(['get atoll.buckets', 'put atoll.manifests'])
  order.length = 0
  await store.put('reef', 'a', pattern(90))
  expect(order.filter((each) => each.endsWith('manifests'))).toEqual([
    'put atoll.manifests',
    'get atoll.manifests',
    'put atoll.manifests',
  ])
  order.length = 0
  await readAll((await store.get('reef', 'a')).body)
  await expect(store.get('reef', 'none')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
  expect(order).toEqual(['get atoll.manifests', 'get atoll.manifests'])
  order.length = 0
  runtime.advance(1000)
  await readAll((await store.get('reef', 'a')).body)
  expect(order).toEqual(['get atoll.buckets', 'get atoll.manifests'])
})

test('uploads and downloads hold a bounded number of blocks, whatever the size', async () => {
  const { store, kv } = await memoryStore({ writeConcurrency: 3, readAhead: 2 })
  let writing = 0
  let reading = 0
  let mostWriting = 0
  let mostReading = 0
  let pulled = 0
  let mostBuffered = 0
  kv.before = async (operation, type) => {
    if (type !== BLOCKS_TYPE) return
    if (operation === 'put') mostWriting = Math.max(mostWriting, ++writing)
    if (operation === 'get') mostReading = Math.max(mostReading, ++reading)
    await new Promise(setImmediate)
    if (operation === 'get') reading--
  }
  kv.after = (operation, type) => {
    if (operation === 'put' && type === BLOCKS_TYPE) {
      writing--
      pulled -= BLOCK
    }
  }
  async function* body() {
    for (let block = 0; block < 60; block++) {
      for (const half of [pattern(BLOCK / 2), pattern(BLOCK / 2)]) {
        pulled += half.length
        mostBuffered = Math.max(mostBuffered, pulled)
        yield half
      }
    }
  }
  const progress: number[] = []
  await store.put('reef', 'a', body(), { onProgress: ({ bytes }) => progress.push(bytes) })
  expect(mostWriting).toBe(3)
  expect(mostBuffered).toBeLessThanOrEqual(5 * BLOCK)
  expect(progress).toEqual(Array.from({ length: 60 }, (_, n) => (n + 1) * BLOCK))
  const read: number[] = []
  const { body: back } = await store.get('reef', 'a', { onProgress: ({ bytes }) => read.push(bytes) })
  for await (const chunk of back) expect(chunk.length).toBe(BLOCK)
  expect(mostReading).toBe(2)
  expect(read).toEqual(progress)
})

test('leaving a body early cancels what was being read ahead', async () => {
  const { store, kv } = await memoryStore()
  await store.put('reef', 'a', pattern(50 * BLOCK))
  const signals: (AbortSignal | undefined)[] = []
  const get = kv.get.bind(kv)
  kv.get = (id, options) => {
    if (id.type === BLOCKS_TYPE) signals.push(options?.signal)
    return get(id, options)
  }
  const { body } = await store.get('reef', 'a')
  for await (const _ of body) break
  expect(signals.length).toBeLessThanOrEqual(1 + OPTIONS.readAhead)
  expect(signals.every((signal) => signal?.aborted)).toBe(true)
  expect(() => body[Symbol.asyncIterator]()).toThrow(/can be read once/)
})

test('a block that is damaged or lost fails the body in the middle, and no wrong byte comes before', async () => {
  for (const damage of ['lost', 'shortened', 'swapped'] as const) {
    const { store, kv } = await memoryStore()
    const body = pattern(5 * BLOCK)
    await store.put('reef', 'a', body)
    const third = (await store.recordsOf('reef', 'a'))[3]!
    if (damage === 'lost') await kv.delete(third)
    else
      kv.replaceValue(third, ({ value, valueCrc32 }) =>
        damage === 'shortened'
          ? { value: value.subarray(1), valueCrc32 }
          : { value, valueCrc32: valueCrc32 ^ 1 },
      )
    const { body: read } = await store.get('reef', 'a')
    const chunks: Uint8Array[] = []
    const reading = (async () => {
      for await (const chunk of read) chunks.push(chunk)
    })()
    const details = { bucket: 'reef', key: 'a', sequence: 2 }
    await expect(reading).rejects.toMatchObject({ code: 'ATOLL_CORRUPT', details })
    expect(Buffer.concat(chunks).equals(body.subarray(0, 2 * BLOCK))).toBe(true)
    const { body: whole } = await store.get('reef', 'a', { range: { start: 3 * BLOCK } })
    expect((await readAll(whole)).length).toBe(2 * BLOCK)
  }
})

test('of several copies of a block the good one is taken', async () => {
  const { store, kv } = await memoryStore()
  const body = pattern(2 * BLOCK)
  await store.put('reef', 'a', body)
  const first = (await store.recordsOf('reef', 'a'))[1]!
  await kv.put(first, { value: pattern(BLOCK, 9) })
  expect(Buffer.from(await readAll((await store.get('reef', 'a')).body)).equals(body)).toBe(true)
})

test('a repairing read says so to the store', async () => {
  const { store, kv } = await memoryStore()
  await store.put('reef', 'a', pattern(2 * BLOCK))
  const repairs: (boolean | undefined)[] = []
  const get = kv.get.bind(kv)
  kv.get = (id, options) => {
    repairs.push(options?.repair)
    return get(id, options)
  }
  await readAll((await store.get('reef', 'a', { repair: true })).body)
  await readAll((await store.get('reef', 'a')).body)
  expect(repairs).toEqual([true, true, true, undefined, undefined, undefined])
})

test('a missing object is told from a missing bucket', async () => {
  const { store } = await memoryStore()
  for (const call of [store.get.bind(store), store.head.bind(store), store.recordsOf.bind(store)]) {
    await expect(call('reef', 'none')).rejects.toMatchObject({
      code: 'ATOLL_OBJECT_NOT_FOUND',
      definite: true,
    })
    await expect(call('nowhere', 'none')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
  }
  await expect(store.put('nowhere', 'a', 'x')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
  await expect(store.list('nowhere')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
  await expect(store.delete('nowhere', 'a')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
})

test('a delete says whether there was something, and may be repeated', async () => {
  const { store } = await memoryStore()
  for (const size of [10, 2 * BLOCK]) {
    await store.put('reef', 'a', pattern(size))
    expect(await store.delete('reef', 'a')).toEqual({ deleted: true })
    expect(await store.delete('reef', 'a')).toEqual({ deleted: false })
    await expect(store.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
    expect((await store.list('reef')).objects).toEqual([])
  }
  await store.put('reef', 'a', 'again')
  expect(await store.head('reef', 'a')).toMatchObject({ size: 5 })
})

test('buckets are created once, listed in order and page by page, and deleted when they are empty', async () => {
  const { store, runtime, kv } = await memoryStore()
  const createdMs = runtime.clock.wallMs()
  await expect(store.createBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_EXISTS' })
  for (const name of ['atoll', 'reef.two', 'reef-one']) await store.createBucket(name)
  const id = expect.any(String)
  expect(await store.headBucket('atoll')).toEqual({ name: 'atoll', createdMs, type: 'atoll', id })
  kv.pageLimit = 1
  const first = await store.listBuckets({ limit: 3 })
  expect(first.buckets.map(({ name }) => name)).toEqual(['atoll', 'reef', 'reef-one'])
  const second = await store.listBuckets({ limit: 3, after: first.next })
  expect(second).toEqual({ buckets: [{ name: 'reef.two', createdMs, type: 'atoll', id }], next: undefined })
  expect((await store.listBuckets({ prefix: 'reef-' })).buckets.map(({ name }) => name)).toEqual(['reef-one'])
  await store.put('reef', 'a', 'x')
  await expect(store.deleteBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_EMPTY' })
  await store.delete('reef', 'a')
  await store.deleteBucket('reef')
  await expect(store.headBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
  await expect(store.deleteBucket('reef')).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
  await store.createBucket('reef')
})

test.each<[string, () => ObjectBody, boolean]>([
  ['bytes', () => pattern(100), false],
  ['text', () => 'x'.repeat(33), false],
  ['chunks in an array', () => [pattern(60), pattern(40)], false],
  ['text that may be too long to be inline', () => 'x'.repeat(34), true],
  ['more chunks than an inline body has', () => [pattern(60), pattern(41)], true],
  ['a generator', () => chunked(pattern(10), 5), true],
])('a store that closes cuts a put of %s only if it may take long', async (_, body, isCut) => {
  const runtime = manualRuntime()
  const clock = { ...runtime.clock, timer: () => ({ cancel: () => {} }) }
  const store = new ObjectStore({ ...runtime, clock }, { kv: new MemoryKv() }, OPTIONS)
  await store.createBucket('reef')
  const put = store.put('reef', 'a', body())
  const outcome = put.then(
    () => 'stored',
    ({ code }) => code,
  )
  await store.close({ drainMs: 0 })
  expect(await outcome).toBe(isCut ? 'ATOLL_CLOSED' : 'stored')
})
