import { HOUR_MS, KiB, MINUTE_MS } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BLOCKS_TYPE, type KvStore, MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { chunked, pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const OPTIONS = { blockBytes: BLOCK, inlineBytes: 100, leaseMs: HOUR_MS }

async function setUp() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, OPTIONS)
  await store.createBucket('reef')
  return { runtime, kv, store }
}

/** A body that stops after its first blocks until it is told to go on. */
function paused(first: Uint8Array, rest: Uint8Array) {
  let goOn = () => {}
  const told = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let reached = () => {}
  const waiting = new Promise<void>((resolve) => {
    reached = resolve
  })
  async function* body() {
    yield first
    reached()
    await told
    yield rest
  }
  return { body: body(), waiting, goOn }
}

/** The store as a node sees it that will die: from then on no call does anything, or comes back. */
function mortal(kv: MemoryKv) {
  let dead = false
  const alive = <T>(call: () => Promise<T>) => (dead ? new Promise<T>(() => {}) : call())
  const view: KvStore = {
    get: (id, options) => alive(() => kv.get(id, options)),
    put: (id, write) => alive(() => kv.put(id, write)),
    delete: (id, options) => alive(() => kv.delete(id, options)),
    scan: (scan) => alive(() => kv.scan(scan)),
  }
  return {
    view,
    die: () => {
      dead = true
    },
  }
}

test('an overwritten version stays for those who read it, and goes after the leeway', async () => {
  const { runtime, kv, store } = await setUp()
  const old = pattern(6 * BLOCK)
  await store.put('reef', 'a', old)
  const reader = await store.get('reef', 'a')
  await store.put('reef', 'a', pattern(3 * BLOCK, 2))
  runtime.advance(24 * HOUR_MS - 1)
  expect(await store.collect()).toEqual({ objects: 0, versions: 0, blocks: 0, failed: 0 })
  expect(Buffer.from(await readAll(reader.body)).equals(old)).toBe(true)
  runtime.advance(1)
  const seen: number[] = []
  expect(await store.collect({ onProgress: ({ blocks }) => seen.push(blocks) })).toEqual({
    objects: 1,
    versions: 1,
    blocks: 6,
    failed: 0,
  })
  expect(seen).toEqual([6])
  expect(kv.count(BLOCKS_TYPE)).toBe(3)
  expect(Buffer.from(await readAll((await store.get('reef', 'a')).body)).equals(pattern(3 * BLOCK, 2))).toBe(
    true,
  )
  expect(await store.collect()).toEqual({ objects: 0, versions: 0, blocks: 0, failed: 0 })
})

test('an upload whose node died is collected when its lease is over, and what was there stays', async () => {
  const { runtime, kv, store } = await setUp()
  await store.put('reef', 'a', 'old')
  const node = mortal(kv)
  const { body, waiting } = paused(pattern(5 * BLOCK), pattern(BLOCK))
  new ObjectStore(runtime, { kv: node.view }, OPTIONS).put('reef', 'a', body).catch(() => {})
  await waiting
  await new Promise(setImmediate)
  node.die()
  expect(kv.count(BLOCKS_TYPE)).toBe(5)
  runtime.advance(HOUR_MS - 1)
  await store.collect()
  expect(kv.count(BLOCKS_TYPE)).toBe(5)
  runtime.advance(1)
  await store.collect()
  expect(kv.count(BLOCKS_TYPE)).toBe(0)
  expect(await store.head('reef', 'a')).toMatchObject({ size: 3 })
  runtime.advance(24 * HOUR_MS)
  expect(await store.collect()).toMatchObject({ versions: 1 })
  expect((await store.collect()).versions).toBe(0)
})

test('an abandoned upload to a new key leaves nothing, in one collection if that comes late', async () => {
  const { runtime, kv, store } = await setUp()
  const node = mortal(kv)
  const { body, waiting } = paused(pattern(5 * BLOCK), pattern(BLOCK))
  new ObjectStore(runtime, { kv: node.view }, OPTIONS).put('reef', 'a', body).catch(() => {})
  await waiting
  await new Promise(setImmediate)
  node.die()
  runtime.advance(25 * HOUR_MS)
  expect(await store.collect()).toMatchObject({ versions: 1, failed: 0 })
  expect(kv.count(BLOCKS_TYPE) + kv.count(MANIFESTS_TYPE)).toBe(0)
})

test('a slow upload keeps its lease as long as it moves', async () => {
  const { runtime, kv, store } = await setUp()
  const whole = pattern(300 * BLOCK)
  async function* body() {
    for await (const chunk of chunked(whole, BLOCK)) {
      runtime.advance(5 * MINUTE_MS)
      await store.collect()
      yield chunk
    }
  }
  await store.put('reef', 'a', body())
  expect(Buffer.from(await readAll((await store.get('reef', 'a')).body)).equals(whole)).toBe(true)
  const notes = kv.operations('put', MANIFESTS_TYPE)
  expect(notes).toBeGreaterThan(300 / 4)
  expect(notes).toBeLessThan(300 / 2)
})

test('an upload that was silent for too long fails, and leaves nothing', async () => {
  const { runtime, kv, store } = await setUp()
  await store.put('reef', 'a', 'old')
  for (const rest of [pattern(BLOCK), new Uint8Array(0)]) {
    const { body, waiting, goOn } = paused(pattern(5 * BLOCK), rest)
    const put = store.put('reef', 'a', body)
    await waiting
    runtime.advance(HOUR_MS / 2 + 1)
    goOn()
    await expect(put).rejects.toMatchObject({ code: 'ATOLL_TIMEOUT', definite: true })
    expect(kv.count(BLOCKS_TYPE)).toBe(0)
    expect(await store.head('reef', 'a')).toMatchObject({ size: 3 })
    expect(await store.collect({ leewayMs: 0, now: runtime.clock.wallMs() + 10 * HOUR_MS })).toMatchObject({
      versions: 0,
    })
  }
})

test('an upload that was cleared away meanwhile does not become visible', async () => {
  const { runtime, kv, store } = await setUp()
  const { body, waiting, goOn } = paused(pattern(5 * BLOCK), pattern(BLOCK))
  const put = store.put('reef', 'a', body)
  await waiting
  await new Promise(setImmediate)
  // Another node, whose clock is far ahead.
  await store.collect({ now: runtime.clock.wallMs() + 2 * HOUR_MS })
  goOn()
  await expect(put).rejects.toMatchObject({ code: 'ATOLL_TIMEOUT' })
  await expect(store.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
  expect(kv.count(BLOCKS_TYPE)).toBe(0)
})

test('two collections at once, broken off anywhere and repeated, do no harm', async () => {
  const { runtime, kv, store } = await setUp()
  const kept = pattern(4 * BLOCK, 4)
  for (let key = 0; key < 6; key++) {
    await store.put('reef', `k${key}`, pattern(3 * BLOCK))
    await store.put('reef', `k${key}`, kept)
  }
  for (const key of ['k1', 'k3']) await store.delete('reef', key)
  runtime.advance(25 * HOUR_MS)
  for (let failAt = 1; failAt <= 30; failAt++) {
    let operations = 0
    kv.before = (operation) => {
      if (operation !== 'get' && ++operations === failAt) throw new Error('cut')
    }
    await Promise.allSettled([store.collect(), store.collect()])
    kv.before = () => {}
    for (const key of ['k0', 'k2', 'k4', 'k5'])
      expect(Buffer.from(await readAll((await store.get('reef', key)).body)).equals(kept)).toBe(true)
  }
  await store.collect()
  expect(kv.count(BLOCKS_TYPE)).toBe(4 * 4)
  expect(kv.count(MANIFESTS_TYPE)).toBe(4)
})

test('a collection is aborted', async () => {
  const { store, runtime } = await setUp()
  await store.put('reef', 'a', pattern(BLOCK))
  await store.delete('reef', 'a')
  runtime.advance(25 * HOUR_MS)
  await expect(store.collect({ signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'ATOLL_ABORTED',
  })
})

describe('writes of one key at the same time', () => {
  const size = fc.constantFrom(0, 10, 100, 2 * BLOCK, 5 * BLOCK + 1)
  const action = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), size }),
    fc.record({ kind: fc.constant('delete' as const) }),
    fc.record({ kind: fc.constant('broken' as const), size }),
    fc.record({ kind: fc.constant('collect' as const) }),
    fc.record({ kind: fc.constant('head' as const) }),
  )

  test('end with one of them whole or none, listed as it is, and with nothing besides', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(action, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.nat(3)),
        async (rounds, delays) => {
          const { runtime, kv, store } = await setUp()
          kv.before = async () => {
            for (let turn = delays.next().value ?? 0; turn > 0; turn--) await Promise.resolve()
          }
          let n = 0
          for (const actions of rounds) {
            runtime.advance(1)
            const bodies = actions.map((each) => pattern('size' in each ? each.size : 0, ++n))
            await Promise.all(
              actions.map(async ({ kind }, at) => {
                const body = bodies[at] ?? new Uint8Array(0)
                if (kind === 'put') await store.put('reef', 'a', chunked(body, 1500))
                else if (kind === 'broken')
                  await expect(store.put('reef', 'a', body, { length: body.length + 1 })).rejects.toThrow()
                else if (kind === 'delete') await store.delete('reef', 'a')
                else if (kind === 'collect') await store.collect({ leewayMs: 1 })
                else await store.head('reef', 'a').catch(() => {})
              }),
            )
          }
          const written = rounds.flat().flatMap((each) => (each.kind === 'put' ? [each.size] : []))
          const found = await store.get('reef', 'a').catch(() => undefined)
          const { objects } = await store.list('reef')
          if (found === undefined) expect(objects).toEqual([])
          else {
            expect(objects).toMatchObject([{ key: 'a', size: found.size, etag: found.etag }])
            expect(written).toContain(found.size)
            const body = await readAll(found.body)
            expect(
              Array.from({ length: n }, (_, seed) => pattern(found.size, seed + 1)).some((each) =>
                Buffer.from(body).equals(each),
              ),
            ).toBe(true)
          }
          await store.delete('reef', 'a')
          runtime.advance(25 * HOUR_MS)
          await store.collect()
          expect([kv.count(BLOCKS_TYPE), kv.count(MANIFESTS_TYPE)]).toEqual([0, 0])
        },
      ),
      { numRuns: 100 },
    )
  })

  test('one that began after another had ended wins', async () => {
    const { store } = await setUp()
    const slow = paused(pattern(3 * BLOCK), pattern(BLOCK))
    const put = store.put('reef', 'a', slow.body)
    await slow.waiting
    await store.put('reef', 'a', 'quick')
    slow.goOn()
    await put
    expect(await store.head('reef', 'a')).toMatchObject({ size: 4 * BLOCK })
    await store.put('reef', 'a', 'later')
    expect(await store.head('reef', 'a')).toMatchObject({ size: 5 })
  })

  test('a delete does not touch an upload in progress', async () => {
    const { store, kv } = await setUp()
    await store.put('reef', 'a', 'old')
    const slow = paused(pattern(3 * BLOCK), pattern(BLOCK))
    const put = store.put('reef', 'a', slow.body)
    await slow.waiting
    expect(await store.delete('reef', 'a')).toEqual({ deleted: true })
    expect((await store.list('reef')).objects).toEqual([])
    slow.goOn()
    await put
    expect(await store.head('reef', 'a')).toMatchObject({ size: 4 * BLOCK })
    expect(kv.count(BLOCKS_TYPE)).toBe(4)
  })

  test('a version that another has overtaken unseen is hidden by the next read, and collected', async () => {
    const { runtime, kv, store } = await setUp()
    const other = new ObjectStore(runtime, { kv }, OPTIONS)
    // Each begins at another primary, and neither has heard of the other one when it answers.
    const put = kv.put.bind(kv)
    let versions = 0
    kv.put = async (id, asked) => {
      const isVersion = id.type === MANIFESTS_TYPE && asked.indexes?.some(({ index }) => index === 'list')
      if (!isVersion) return put(id, asked)
      if (++versions === 1) await other.put('reef', 'a', pattern(3 * BLOCK, 2))
      return { ...(await put(id, { ...asked, ifUnchanged: undefined })), alone: true }
    }
    await store.put('reef', 'a', pattern(3 * BLOCK, 1))
    kv.put = put
    expect(versions).toBe(2)
    expect(kv.count(BLOCKS_TYPE)).toBe(6)
    const writes = kv.operations('put', MANIFESTS_TYPE)
    const heads = await Promise.all(Array.from({ length: 50 }, () => store.head('reef', 'a')))
    expect(kv.operations('put', MANIFESTS_TYPE) - writes, 'of fifty readers one heals').toBe(1)
    const { etag } = heads[0]!
    expect(new Set(heads.map((head) => head.etag)).size).toBe(1)
    expect((await store.list('reef')).objects).toMatchObject([{ etag }])
    expect(runtime.marks.get('objects.history.healed')).toBe(1)
    runtime.advance(24 * HOUR_MS)
    await store.collect()
    expect(kv.count(BLOCKS_TYPE)).toBe(3)
    expect((await readAll((await store.get('reef', 'a')).body)).length).toBe(3 * BLOCK)
    expect(runtime.marks.get('objects.history.healed')).toBe(1)
  })
})

describe('a key is not listed in vain', () => {
  test.each(['delete', 'collect'] as const)(
    'when a collection and a delete cross, and the %s writes last',
    async (last) => {
      const { store, kv, runtime } = await setUp()
      const elsewhere = new ObjectStore(runtime, { kv }, OPTIONS)
      await store.put('reef', 'a', pattern(3 * BLOCK))
      await store.put('reef', 'a', 'visible')
      const calls = {
        delete: (node: ObjectStore) => node.delete('reef', 'a'),
        collect: (node: ObjectStore) => node.collect({ leewayMs: 0 }),
      }
      const other = last === 'delete' ? calls.collect : calls.delete
      let crossed = false
      kv.before = async (operation, type) => {
        if (crossed || operation !== 'put' || type !== MANIFESTS_TYPE) return
        crossed = true
        await other(elsewhere)
      }
      await calls[last](store)
      expect(crossed).toBe(true)
      expect((await store.list('reef')).objects).toEqual([])
      await expect(store.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
    },
  )

  test('after a copy of a deleted version turned up, as soon as somebody asks for it', async () => {
    const { store, kv } = await setUp()
    const writes: Parameters<MemoryKv['put']>[] = []
    const put = kv.put.bind(kv)
    kv.put = (id, write) => {
      writes.push([id, write])
      return put(id, write)
    }
    await store.put('reef', 'a', 'x')
    await store.delete('reef', 'a')
    const [id, write] = writes[0] ?? expect.fail('nothing was written')
    for (const ask of [() => store.head('reef', 'a'), () => store.delete('reef', 'a')]) {
      await put(id, { ...write, context: undefined, ifAlone: false, ifUnchanged: undefined })
      expect((await store.list('reef')).objects.length).toBe(1)
      await Promise.allSettled([ask()])
      expect((await store.list('reef')).objects).toEqual([])
    }
  })
})

test('a key with too many versions is refused until they are collected', async () => {
  const { runtime, kv } = await setUp()
  const store = new ObjectStore(runtime, { kv }, { ...OPTIONS, maxVersions: 10 })
  for (let n = 0; n < 10; n++) await store.put('reef', 'a', pattern(200, n))
  const put = store.put('reef', 'a', pattern(200))
  await expect(put).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED', definite: true, transient: true })
  expect(kv.count(BLOCKS_TYPE)).toBe(10)
  await store.collect({ leewayMs: 0 })
  await store.put('reef', 'a', pattern(200, 20))
  for (let n = 0; n < 50; n++) await store.put('reef', 'small', `${n}`)
})

test('small objects are cleared many at a time, by two reads each, and it is told how far that is', async () => {
  const { runtime, kv, store } = await setUp()
  const count = 200
  for (let n = 0; n < count; n++) await store.put('reef', `${n}`, 'small')
  for (let n = 0; n < count; n++) await store.delete('reef', `${n}`)
  let reads = 0
  let underWay = 0
  let most = 0
  const slow = async <T>(call: () => Promise<T>) => {
    underWay += 1
    most = Math.max(most, underWay)
    await new Promise(setImmediate)
    return call().finally(() => {
      underWay -= 1
    })
  }
  const view: KvStore = {
    get: (id, options) => {
      if (id.type === MANIFESTS_TYPE) reads += 1
      return slow(() => kv.get(id, options))
    },
    put: (id, write) => slow(() => kv.put(id, write)),
    delete: (id, options) => slow(() => kv.delete(id, options)),
    scan: (scan) => kv.scan(scan),
  }
  const seen: number[] = []
  const onProgress = ({ objects }: { objects: number }) => seen.push(objects)
  const collected = await new ObjectStore(runtime, { kv: view }, OPTIONS).collect({ leewayMs: 0, onProgress })
  expect(collected).toEqual({ objects: count, versions: 0, blocks: 0, failed: 0 })
  expect(seen).toEqual(Array.from({ length: count }, (_, n) => n + 1))
  expect(most).toBeGreaterThanOrEqual(24)
  expect(most).toBeLessThanOrEqual(64)
  expect(reads).toBe(2 * count)
  expect(kv.count(MANIFESTS_TYPE)).toBe(0)
})
