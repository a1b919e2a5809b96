import { AtollError, KiB, MINUTE_MS } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { BLOCKS_TYPE, MANIFESTS_TYPE, ObjectStore, type PutResult } from '../src/index.ts'
import { md5, pattern, readAll } from './bodies.ts'
import { gate } from './gate.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const OPTIONS = { blockBytes: BLOCK, inlineBytes: 100, leaseMs: 10 * MINUTE_MS }

async function setUp() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, OPTIONS)
  await store.createBucket('reef')
  const writes = () => kv.operations('put', MANIFESTS_TYPE)
  const bodyOf = async () => readAll((await store.get('reef', 'a')).body)
  return { runtime, kv, store, writes, bodyOf }
}

/** Holds back the next write of a manifest; answers when it has come, and what lets it go. */
function held(kv: MemoryKv): { readonly come: Promise<void>; readonly go: () => void } {
  const { coming, come, going, go } = gate()
  kv.before = (operation, type) => {
    if (operation !== 'put' || type !== MANIFESTS_TYPE) return undefined
    kv.before = () => {}
    come()
    return going
  }
  return { come: coming, go }
}

/** Lets everything run that waits for nothing but itself. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

function bodiesOf(count: number, length: number): readonly Uint8Array[] {
  return Array.from({ length: count }, (_, n) => pattern(length, n + 1))
}

function putAll(store: ObjectStore, bodies: readonly Uint8Array[]): Promise<readonly PutResult[]> {
  return Promise.all(bodies.map((body) => store.put('reef', 'a', body)))
}

describe('many puts of one key at once', () => {
  test('inline cost a write of the first and one of all that waited meanwhile, and the last one is what is read', async () => {
    const { store, writes, bodyOf, runtime } = await setUp()
    const bodies = bodiesOf(500, 50)
    const puts = await putAll(store, bodies)
    expect(puts.map(({ etag }) => etag)).toEqual(bodies.map(md5))
    expect(writes()).toBe(2)
    expect(runtime.marks.get('objects.put.written-together')).toBe(1)
    expect(await bodyOf()).toEqual(bodies.at(-1))
    expect((await store.list('reef')).objects).toHaveLength(1)
  })

  test('in blocks are announced and become versions together, and a collection leaves the blocks of the last one', async () => {
    const { store, kv, writes, bodyOf } = await setUp()
    const bodies = bodiesOf(200, 3 * BLOCK)
    const puts = await putAll(store, bodies)
    expect(puts.map(({ etag }) => etag)).toEqual(bodies.map(md5))
    // Of 400 that there would be one by one.
    expect(writes()).toBeLessThan(40)
    expect(kv.count(BLOCKS_TYPE)).toBe(600)
    expect(bodies.map(md5)).toContain(md5(await bodyOf()))
    expect(await store.collect({ leewayMs: 0 })).toMatchObject({ versions: 199, blocks: 597, failed: 0 })
    expect(kv.count(BLOCKS_TYPE)).toBe(3)
    expect(bodies.map(md5)).toContain(md5(await bodyOf()))
  })

  test('at two nodes, of both kinds, are all answered', async () => {
    const { store, kv } = await setUp()
    const other = new ObjectStore(manualRuntime(2), { kv }, OPTIONS)
    const bodies = [...bodiesOf(60, 50), ...bodiesOf(60, 2 * BLOCK)]
    const puts = await Promise.all(
      bodies.map((body, n) => (n % 2 === 0 ? store : other).put('reef', 'a', body)),
    )
    expect(puts.map(({ etag }) => etag)).toEqual(bodies.map(md5))
    await store.collect({ leewayMs: 0 })
    expect([0, 2]).toContain(kv.count(BLOCKS_TYPE))
  })

  test('of keys of their own do not wait for each other', async () => {
    const { store, kv } = await setUp()
    const { come, go } = held(kv)
    const first = store.put('reef', 'b', pattern(50))
    await come
    await putAll(store, bodiesOf(3, 50))
    go()
    await first
  })
})

describe('a put that waits for another one of its key', () => {
  test('can be aborted, and leaves the others and the record alone', async () => {
    const { store, kv, bodyOf } = await setUp()
    const { come, go } = held(kv)
    const abort = new AbortController()
    const [one, two, three] = bodiesOf(3, 50)
    const puts = [
      store.put('reef', 'a', one ?? ''),
      store.put('reef', 'a', two ?? ''),
      store.put('reef', 'a', three ?? '', { signal: abort.signal }),
    ]
    await come
    await settled()
    abort.abort()
    // At once, not when it is its turn.
    await expect(puts[2]).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
    go()
    await Promise.all(puts.slice(0, 2))
    expect(await bodyOf()).toEqual(two)
  })

  test('is told its outcome as it is once it is written, whatever its signal says', async () => {
    const { store, kv, bodyOf } = await setUp()
    const first = held(kv)
    const abort = new AbortController()
    const [one, two, three] = bodiesOf(3, 50)
    const puts = [
      store.put('reef', 'a', one ?? ''),
      store.put('reef', 'a', two ?? ''),
      store.put('reef', 'a', three ?? '', { signal: abort.signal }),
    ]
    await first.come
    await settled()
    const second = held(kv)
    first.go()
    await second.come
    abort.abort()
    await settled()
    second.go()
    await Promise.all(puts)
    expect(await bodyOf()).toEqual(three)
  })

  test('shares the failure of the write that it is in, and what comes later is written', async () => {
    const { store, kv, bodyOf } = await setUp()
    const { come, go } = held(kv)
    const bodies = bodiesOf(4, 50)
    const puts = bodies.map((body) => store.put('reef', 'a', body))
    const outcomes = Promise.allSettled(puts)
    await come
    await settled()
    const failure = new AtollError('ATOLL_QUORUM_UNMET', 'too few replicas', { definite: true })
    let failures = 0
    kv.before = (operation, type) => {
      if (operation === 'put' && type === MANIFESTS_TYPE && failures++ === 0) throw failure
    }
    go()
    const reasons = (await outcomes).map((outcome) =>
      outcome.status === 'rejected' ? outcome.reason : 'put',
    )
    expect(reasons).toEqual(['put', failure, failure, failure])
    expect(await bodyOf()).toEqual(bodies[0])
    await store.put('reef', 'a', 'later')
    expect(new TextDecoder().decode(await bodyOf())).toBe('later')
  })

  test('is not written with those that ask for other quorums', async () => {
    const { store, kv } = await setUp()
    const { come, go } = held(kv)
    const asked: unknown[] = []
    const put = kv.put
    kv.put = (...args: Parameters<typeof put> | [...Parameters<typeof put>, unknown]) => {
      if (args[0].type === MANIFESTS_TYPE) asked.push(args[2])
      return put.call(kv, args[0], args[1])
    }
    const puts = [
      store.put('reef', 'a', 'one'),
      store.put('reef', 'a', 'two'),
      store.put('reef', 'a', 'all', { w: 'all' }),
      store.put('reef', 'a', 'three'),
    ]
    await come
    await settled()
    go()
    await Promise.all(puts)
    expect(asked.filter((quorum) => JSON.stringify(quorum) === '{"w":"all"}').length).toBeGreaterThan(0)
    expect(asked.filter((quorum) => JSON.stringify(quorum) === '{}').length).toBeGreaterThan(1)
  })

  test('whose upload a collection took for dead is refused alone, and the others of its write are written', async () => {
    const { store, kv, runtime, writes } = await setUp()
    // Of the three uploads only that of the first is over by this clock.
    const ahead = new ObjectStore(manualRuntime(2, runtime.clock.wallMs() + 11 * MINUTE_MS), { kv }, OPTIONS)
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    async function* slowly(body: Uint8Array) {
      yield body.subarray(0, BLOCK)
      await gate
      yield body.subarray(BLOCK)
    }
    const bodies = bodiesOf(3, 2 * BLOCK)
    const puts: Promise<PutResult>[] = []
    for (const [n, body] of bodies.entries()) {
      puts.push(store.put('reef', 'a', slowly(body)))
      await settled()
      if (n === 0) runtime.advance(2 * MINUTE_MS)
    }
    const outcomes = Promise.allSettled(puts)
    expect(await ahead.collect()).toMatchObject({ blocks: 64 })
    const { come, go } = held(kv)
    const inline = store.put('reef', 'a', 'inline')
    await come
    open()
    await settled()
    const before = writes()
    go()
    await inline
    const codes = (await outcomes).map((outcome) => outcome.status === 'rejected' && outcome.reason.code)
    expect(codes).toEqual(['ATOLL_TIMEOUT', false, false])
    // The first of both kinds, and what the refused upload clears up.
    expect(writes() - before).toBeLessThanOrEqual(3)
    await store.collect({ leewayMs: 0 })
    expect(kv.count(BLOCKS_TYPE)).toBe(2)
  })
})
