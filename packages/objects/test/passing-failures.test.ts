import { AtollError, KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { BLOCKS_TYPE, MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { BUCKETS_TYPE } from '../src/kv-types.ts'
import { pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const PASSING = new AtollError('ATOLL_OVERLOADED', 'slow down')
const FULL = new AtollError('ATOLL_DISK_FULL', 'no room', { definite: true })
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

test.each([0, 3])(
  'a full disk is told of within a second, after %i refusals that may pass',
  async (passing) => {
    const { runtime, kv, store } = await setUp()
    let tries = 0
    let fullAtMs = 0
    kv.before = (operation, type) => {
      if (operation !== 'put' || type !== BLOCKS_TYPE) return
      if (++tries <= passing) throw PASSING
      if (tries === passing + 1) fullAtMs = runtime.clock.monotonicMs()
      throw FULL
    }
    await expect(store.put('reef', 'a', pattern(BLOCK))).rejects.toBe(FULL)
    expect(tries).toBeGreaterThan(passing + 3)
    expect(runtime.clock.monotonicMs() - fullAtMs).toBeLessThanOrEqual(1000)
  },
)

test('room that somebody makes within that second is used', async () => {
  const { kv, store } = await setUp()
  let tries = 0
  kv.before = (operation, type) => {
    if (operation === 'put' && type === BLOCKS_TYPE && ++tries <= 3) throw FULL
  }
  await store.put('reef', 'a', pattern(BLOCK))
  expect(tries).toBe(4)
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

test('what fails behind a write leaves it open whether that was made', async () => {
  const { kv, store } = await setUp()
  const writes: Parameters<MemoryKv['put']>[] = []
  const put = kv.put.bind(kv)
  kv.put = (id, write) => {
    writes.push([id, write])
    return put(id, write)
  }
  await store.put('reef', 'a', pattern(BLOCK))
  const copy =
    writes.findLast(([{ type }]) => type === MANIFESTS_TYPE) ?? expect.fail('a version was written')
  let deletions = 0
  kv.before = (operation, type) => {
    if (operation === 'put' && type === MANIFESTS_TYPE && ++deletions > 1) throw LASTING
  }
  kv.after = async (operation, type) => {
    if (operation !== 'put' || type !== MANIFESTS_TYPE) return
    kv.after = () => {}
    // A copy of what was just deleted turns up beside the deletion, which has to be written once more.
    deletions = 0
    await put(copy[0], { ...copy[1], context: undefined, ifUnchanged: undefined })
    deletions = 1
  }
  await expect(store.delete('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: false })
  expect(deletions).toBe(2)
  await expect(store.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
})

test('an error of the record of a bucket says that it is, and of which', async () => {
  const { kv, store } = await setUp()
  kv.before = (operation, type) => {
    if (operation === 'get' && type === BUCKETS_TYPE) throw LASTING
  }
  await expect(store.put('atoll', 'a', pattern(BLOCK))).rejects.toMatchObject({
    code: LASTING.code,
    definite: LASTING.definite,
    transient: LASTING.transient,
    message: `to read bucket "atoll": ${LASTING.message}`,
    details: { bucket: 'atoll' },
    cause: LASTING,
  })
})

test('that a bucket is there, or not, names it in the details', async () => {
  const { store } = await setUp()
  const details = (bucket: string) => ({ details: { bucket } })
  await expect(store.createBucket('reef')).rejects.toMatchObject(details('reef'))
  await expect(store.head('atoll', 'a')).rejects.toMatchObject(details('atoll'))
})
