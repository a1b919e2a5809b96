import { borrowedCopy, KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { type KvGetOptions, type KvStoreRead, ObjectStore } from '../src/index.ts'
import { md5, pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const INLINE = 2 * KiB
const WHOLE = pattern(7 * BLOCK + 345)

/** Answers every value in an array that its reader may give back, as the replicas of a cluster do. */
class LendingKv extends MemoryKv {
  override async get(...asked: [Parameters<MemoryKv['get']>[0], KvGetOptions?]): Promise<KvStoreRead> {
    const { values, context } = await super.get(...asked)
    return { values: values.map((each) => ({ ...each, value: borrowedCopy(each.value) })), context }
  }
}

async function setUp(blockBytes = BLOCK) {
  const kv = new LendingKv()
  const runtime = manualRuntime()
  const store = new ObjectStore(runtime, { kv }, { blockBytes: BLOCK, inlineBytes: INLINE })
  const other = new ObjectStore(runtime, { kv }, { blockBytes, inlineBytes: INLINE, readAhead: 2 })
  await store.createBucket('reef')
  await store.put('reef', 'from', WHOLE)
  return { store, other }
}

async function* handedOn(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield chunk
}

/** What a loop over reads into one array yields. */
async function* inOneArray(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  const array = new Uint8Array(chunkBytes)
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const chunk = bytes.subarray(at, at + chunkBytes)
    array.set(chunk)
    yield array.subarray(0, chunk.length)
    array.fill(0xee)
  }
  array.fill(0xee)
}

const RANGES: [string, { start: number; end?: number }][] = [
  ['all', { start: 0 }],
  ['from the middle of a block', { start: 100 }],
  ['two ends of blocks', { start: BLOCK - 1000, end: 3 * BLOCK + 1000 }],
  ['a part of one block', { start: BLOCK + 10, end: 2 * BLOCK - 10 }],
  ['a small part of one block', { start: 10, end: 1000 }],
  ['small parts of two blocks', { start: BLOCK - 700, end: BLOCK + 900 }],
]

test.each(RANGES.flatMap(([name, range]) => [4, 8, 16].map((kib) => [name, kib, range] as const)))(
  'the lent body of a get is put again as it is: %s, in blocks of %i KiB',
  async (_name, kib, range) => {
    const { store, other } = await setUp(kib * KiB)
    const right = WHOLE.subarray(range.start, range.end)
    for (const hand of [(body: AsyncIterable<Uint8Array>) => body, handedOn]) {
      for (const options of [{}, { length: right.length }]) {
        const { body } = await store.get('reef', 'from', { range, chunks: 'lent' })
        expect((await other.put('reef', 'to', hand(body), options)).etag).toBe(md5(right))
        expect(md5(await readAll((await store.get('reef', 'to')).body))).toBe(md5(right))
      }
    }
  },
)

test.each([1, 100, 1000, INLINE, INLINE + 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])(
  'a source that puts each chunk into the array of the one before is stored as it was: chunks of %i bytes',
  async (chunkBytes) => {
    const { store } = await setUp()
    for (const bytes of [1, 1000, INLINE, INLINE + 1, BLOCK, BLOCK + 1, 3 * BLOCK, WHOLE.length]) {
      const right = WHOLE.subarray(0, bytes)
      for (const options of [{}, { length: bytes }]) {
        await store.put('reef', 'to', inOneArray(right, chunkBytes), options)
        const { etag, body } = await store.get('reef', 'to')
        expect([etag, md5(await readAll(body))]).toEqual([md5(right), md5(right)])
      }
    }
  },
)
