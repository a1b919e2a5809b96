import { AtollError, KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { BLOCKS_TYPE, MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB

async function setUp() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, { blockBytes: BLOCK, inlineBytes: 100, writeConcurrency: 4 })
  await store.createBucket('reef')
  /** Holds the first manifest back; answers what lets it go, or fails it. */
  let settle = { durable: () => {}, failed: (_error: AtollError) => {} }
  const announced = new Promise<void>((durable, failed) => {
    settle = { durable, failed }
  })
  announced.catch(() => {})
  kv.before = (operation, type) =>
    operation === 'put' && type === MANIFESTS_TYPE && kv.operations('put', MANIFESTS_TYPE) === 1
      ? announced
      : undefined
  return { kv, store, settle }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('blocks are cut while the manifest that announces them is on its way, a few and no more, and none is stored', async () => {
  const { kv, store, settle } = await setUp()
  const body = pattern(20 * BLOCK)
  let pulled = 0
  const chunks = {
    *[Symbol.iterator]() {
      for (let at = 0; at < body.length; at += BLOCK) {
        pulled += 1
        yield body.subarray(at, at + BLOCK)
      }
    },
  }
  const put = store.put('reef', 'a', chunks)
  await settled()
  expect(kv.operations('put', BLOCKS_TYPE)).toBe(0)
  expect(pulled).toBeGreaterThanOrEqual(4)
  expect(pulled).toBeLessThanOrEqual(6)
  settle.durable()
  await put
  expect(await readAll((await store.get('reef', 'a')).body)).toEqual(body)
  expect(kv.count(MANIFESTS_TYPE)).toBe(1)
})

test('a put whose announcement fails stores and deletes no block, even if its body keeps still', async () => {
  for (const silent of [false, true]) {
    const { kv, store, settle } = await setUp()
    async function* body() {
      yield pattern(2 * BLOCK)
      if (silent) await new Promise(() => {})
    }
    const put = store.put('reef', 'a', body())
    await settled()
    settle.failed(new AtollError('ATOLL_QUORUM_UNMET', 'too few replicas', { definite: true }))
    await expect(put).rejects.toMatchObject({ code: 'ATOLL_QUORUM_UNMET' })
    await settled()
    expect(kv.operations('put', BLOCKS_TYPE)).toBe(0)
    expect(kv.operations('delete', BLOCKS_TYPE)).toBe(0)
  }
})

test('a put that is aborted before its announcement is durable stores nothing, and takes the announcement back', async () => {
  const { kv, store, settle } = await setUp()
  const controller = new AbortController()
  const put = store.put('reef', 'a', pattern(3 * BLOCK), { signal: controller.signal })
  const expectation = expect(put).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
  await settled()
  controller.abort()
  await settled()
  settle.durable()
  await expectation
  expect(kv.operations('put', BLOCKS_TYPE)).toBe(0)
  expect(kv.count(MANIFESTS_TYPE)).toBe(0)
})
