import { AtollError, KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { BLOCKS_TYPE, ObjectStore } from '../src/index.ts'
import { pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const PASSING = new AtollError('ATOLL_OVERLOADED', 'slow down')
const LASTING = new AtollError('ATOLL_STORAGE', 'the disk is gone', { definite: true })

async function setUp() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, { blockBytes: BLOCK, inlineBytes: 0, blockPatienceMs: 5000 })
  await store.createBucket('reef')
  return { runtime, kv, store }
}

test('a store that refuses every tenth block once costs neither an upload nor a download', async () => {
  const { runtime, kv, store } = await setUp()
  const refused = new Set<string>()
  let calls = 0
  kv.before = (operation, type, id) => {
    const name = `${operation} ${id?.key.join()}`
    if (type !== BLOCKS_TYPE || refused.has(name) || ++calls % 10 !== 0) return
    refused.add(name)
    throw PASSING
  }
  const body = pattern(500 * BLOCK)
  await store.put('reef', 'a', body)
  expect(Buffer.from(await readAll((await store.get('reef', 'a')).body)).equals(body)).toBe(true)
  expect(refused.size).toBeGreaterThan(90)
  expect(runtime.marks.get('objects.block.tried_again')).toBe(refused.size)
})

test('what does not pass is given up after a while, and what cannot pass at once', async () => {
  const { runtime, kv, store } = await setUp()
  let failure = PASSING
  kv.before = (operation, type) => {
    if (operation === 'put' && type === BLOCKS_TYPE) throw failure
  }
  const startMs = runtime.clock.monotonicMs()
  await expect(store.put('reef', 'a', pattern(BLOCK))).rejects.toBe(PASSING)
  const lastedMs = runtime.clock.monotonicMs() - startMs
  expect(lastedMs).toBeGreaterThan(3000)
  expect(lastedMs).toBeLessThanOrEqual(5000)
  failure = LASTING
  await expect(store.put('reef', 'a', pattern(BLOCK))).rejects.toBe(LASTING)
  expect(runtime.clock.monotonicMs() - startMs).toBe(lastedMs)
  await expect(store.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
})

test('whoever waits for another try hears of an abort', async () => {
  const { kv, store } = await setUp()
  const controller = new AbortController()
  let tries = 0
  kv.before = (operation, type) => {
    if (operation !== 'put' || type !== BLOCKS_TYPE) return
    if (++tries === 3) controller.abort()
    throw PASSING
  }
  const put = store.put('reef', 'a', pattern(BLOCK), { signal: controller.signal })
  await expect(put).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
  expect(tries).toBe(3)
})
