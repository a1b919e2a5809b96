import { decodeWith, encodeWith, HOUR_MS, KiB } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { historyCodec } from '../src/codec.ts'
import { believed, wasSeenBy } from '../src/future-marks.ts'
import { activate, joinHistories, latestMark, NO_HISTORY, retire, visibleOf } from '../src/history.ts'
import { BLOCKS_TYPE, type ClockReadings, MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { pattern, readAll } from './bodies.ts'
import { arbitraryHistory, upload } from './histories.ts'
import { type ManualRuntime, manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const OPTIONS = { blockBytes: BLOCK, inlineBytes: 100, leaseMs: HOUR_MS }
const DAY_MS = 24 * HOUR_MS
const FAR_MS = 10 * 365 * DAY_MS
/** The longest lease that a store may give, which an upload has of which nobody knows the right one. */
const LEASE_MS = 7 * DAY_MS

/** Nodes over one key-value store, each with a clock that may be ahead of the right one. */
async function cluster(nodes: number) {
  const kv = new MemoryKv()
  const world = manualRuntime()
  const aheadMs = new Map<number, number>()
  const silent = new Set<number>()
  const wallOf = (node: number) => world.clock.wallMs() + (aheadMs.get(node) ?? 0)
  const runtimeOf = (node: number): ManualRuntime => ({
    ...world,
    clock: { ...world.clock, wallMs: () => wallOf(node) },
  })
  const readings = (asking: number): ClockReadings => {
    const answering = [...Array(nodes).keys()].filter((node) => node === asking || !silent.has(node))
    return { members: nodes, wallMs: answering.map(wallOf) }
  }
  const stores = [...Array(nodes).keys()].map((node) => {
    const clocks = { read: async () => readings(node) }
    return new ObjectStore(runtimeOf(node), { kv, clocks }, OPTIONS)
  })
  const store = (node: number) => stores[node] ?? expect.fail(`there is no node ${node}`)
  await store(0).createBucket('reef')
  const left = () => [kv.count(BLOCKS_TYPE), kv.count(MANIFESTS_TYPE)]
  return { kv, world, store, left, silent, set: (node: number, ms: number) => aheadMs.set(node, ms) }
}

type TestCluster = Awaited<ReturnType<typeof cluster>>

/** One of each kind of what is collected, by a node: overwritten, deleted in blocks and inline, and an upload that dies. */
async function makeGarbage({ store, kv }: TestCluster, node: number): Promise<void> {
  const objects = store(node)
  for (const key of ['blocks', 'over']) await objects.put('reef', key, pattern(2 * BLOCK))
  await objects.put('reef', 'inline', 'x')
  await objects.delete('reef', 'blocks')
  await objects.delete('reef', 'inline')
  await objects.put('reef', 'over', 'y')
  await objects.delete('reef', 'over')
  kv.before = (operation, type) => {
    if (operation !== 'get' && kv.operations('put', BLOCKS_TYPE) > 5)
      throw new Error(`the node died: ${type}`)
  }
  await expect(objects.put('reef', 'dead', pattern(3 * BLOCK))).rejects.toThrow('the node died')
  kv.before = () => {}
}

describe('a clock was ten years ahead for a while: what was deleted then', () => {
  test.each([0, 1, 2])('is collected by the leeway of the right clock, by node %i', async (collector) => {
    const atoll = await cluster(3)
    atoll.set(2, FAR_MS)
    await makeGarbage(atoll, 2)
    atoll.set(2, 0)
    const { store, world, left } = atoll
    const before = left()
    expect(before).toEqual([5, 4])
    expect(await store(collector).collect()).toEqual({ objects: 4, versions: 0, blocks: 0, failed: 0 })
    expect(left()).toEqual(before)
    world.advance(DAY_MS - 1)
    await store(collector).collect()
    expect(left()).toEqual(before)
    world.advance(1)
    await store(collector).collect()
    expect(left(), 'only the upload that died is left').toEqual([1, 1])
    world.advance(LEASE_MS - DAY_MS - 1)
    await store(collector).collect()
    expect(left()).toEqual([1, 1])
    world.advance(1)
    await store(collector).collect()
    expect(left(), 'its lease is over').toEqual([0, 1])
    world.advance(DAY_MS)
    await store(collector).collect()
    expect(left()).toEqual([0, 0])
  })

  test('is collected while the clock is still wrong, by the node itself too', async () => {
    const atoll = await cluster(3)
    const { store, world, left } = atoll
    atoll.set(2, FAR_MS)
    await makeGarbage(atoll, 2)
    await store(2).collect()
    expect(left()).toEqual([5, 4])
    world.advance(DAY_MS - 1)
    await store(2).collect()
    expect(left()).toEqual([5, 4])
    world.advance(1)
    await store(2).collect()
    expect(left()).toEqual([1, 1])
    for (let days = 1; days < 8; days++) {
      world.advance(DAY_MS)
      await store(2).collect()
    }
    expect(left()).toEqual([0, 0])
  })

  test('and what was written then, and is overwritten or deleted by a right clock, too', async () => {
    const atoll = await cluster(3)
    const { store, world, left } = atoll
    atoll.set(2, FAR_MS)
    for (const key of ['deleted', 'over']) await store(2).put('reef', key, pattern(2 * BLOCK))
    atoll.set(2, 0)
    await store(0).delete('reef', 'deleted')
    await store(1).put('reef', 'over', 'y')
    await store(1).delete('reef', 'over')
    world.advance(DAY_MS)
    await store(1).collect()
    expect(left(), 'a collection has seen them').toEqual([4, 2])
    world.advance(DAY_MS - 1)
    await store(0).collect()
    expect(left()).toEqual([4, 2])
    world.advance(1)
    await store(2).collect()
    expect(left()[0]).toBe(0)
  })

  test('is collected by a node alone in its cluster', async () => {
    const atoll = await cluster(1)
    const { store, world, left } = atoll
    atoll.set(0, FAR_MS)
    await makeGarbage(atoll, 0)
    atoll.set(0, 0)
    await store(0).collect()
    world.advance(DAY_MS)
    await store(0).collect()
    expect(left()).toEqual([1, 1])
    world.advance(LEASE_MS)
    await store(0).collect()
    expect(left()).toEqual([0, 0])
  })
})

describe('a collector whose own clock is wrong', () => {
  test.each([
    ['ten years fast', FAR_MS],
    ['ten years slow', -FAR_MS],
    ['two days fast', 2 * DAY_MS],
  ])('goes by those of the others: %s', async (_, aheadMs) => {
    const atoll = await cluster(3)
    const { store, world, left } = atoll
    await store(0).put('reef', 'a', pattern(2 * BLOCK))
    const reader = await store(0).get('reef', 'a')
    await store(0).put('reef', 'a', 'x')
    atoll.set(1, aheadMs)
    world.advance(DAY_MS - 1)
    await store(1).collect()
    expect((await readAll(reader.body)).length).toBe(2 * BLOCK)
    world.advance(1)
    await store(1).collect()
    expect(left()).toEqual([0, 1])
  })

  test.each([-FAR_MS, 0, FAR_MS])(
    'collects no earlier than the marks say while it is alone: %i',
    async (aheadMs) => {
      const atoll = await cluster(3)
      const { store, world, left, silent } = atoll
      atoll.set(0, FAR_MS)
      await makeGarbage(atoll, 0)
      atoll.set(0, 0)
      atoll.set(1, aheadMs)
      silent.add(0).add(2)
      for (let day = 0; day < 3; day++) {
        // By the clock of the marks nothing that was deleted is due yet; the upload died, and its lease ends.
        await store(1).collect({ leewayMs: 4 * DAY_MS })
        expect(left()).toEqual([day > 0 && aheadMs > 0 ? 4 : 5, 4])
        world.advance(DAY_MS)
      }
    },
  )

  test('is one of two of five that are wrong', async () => {
    const atoll = await cluster(5)
    const { store, world, left } = atoll
    atoll.set(3, FAR_MS)
    atoll.set(4, FAR_MS)
    await makeGarbage(atoll, 3)
    await store(4).collect()
    expect(left()).toEqual([5, 4])
    world.advance(DAY_MS - 1)
    await store(4).collect()
    expect(left()).toEqual([5, 4])
    world.advance(1)
    await store(4).collect()
    expect(left()).toEqual([1, 1])
    world.advance(LEASE_MS)
    await store(0).collect()
    expect(left()).toEqual([0, 0])
  })

  test('and one of two of five of which only three answer: then nobody knows, and nothing goes', async () => {
    const atoll = await cluster(5)
    const { store, left, silent } = atoll
    atoll.set(3, FAR_MS)
    atoll.set(4, FAR_MS)
    await makeGarbage(atoll, 0)
    silent.add(0).add(1)
    await store(4).collect()
    expect(left()).toEqual([5, 4])
  })
})

test('a clock before 1970 collects for a time that it is told, and a clock with fractions writes none', async () => {
  const atoll = await cluster(1)
  const { store, world, left, kv } = atoll
  await makeGarbage(atoll, 0)
  const early = { ...world, clock: { ...world.clock, wallMs: () => -5 } }
  const lost = new ObjectStore(early, { kv }, OPTIONS)
  await expect(lost.collect()).rejects.toMatchObject({ code: 'ATOLL_CLOCK' })
  expect((await lost.collect({ now: world.clock.wallMs() })).failed).toBe(0)
  expect(left()).toEqual([5, 4])
  const halved = { read: async () => ({ members: 1, wallMs: [0.5] }) }
  await new ObjectStore(world, { kv, clocks: halved }, OPTIONS).collect()
  world.advance(25 * HOUR_MS)
  for (let round = 0; round < 3; round++) {
    await store(0).collect()
    world.advance(25 * HOUR_MS)
  }
  expect(left()).toEqual([0, 0])
})

test('beside collections an upload goes on by a clock that is ten years ahead, slowly and to its end', async () => {
  const atoll = await cluster(3)
  const { store, world } = atoll
  atoll.set(0, FAR_MS)
  async function* body() {
    for (let block = 0; block < 20; block++) {
      yield pattern(BLOCK, block)
      world.advance(0.4 * HOUR_MS)
      await store(1).collect()
      await store(2).collect()
    }
  }
  await store(0).put('reef', 'a', body())
  const { body: read } = await store(1).get('reef', 'a')
  expect((await readAll(read)).length).toBe(20 * BLOCK)
})

describe('beside collections of a store with a short lease', () => {
  test.each([
    ['right', 0],
    ['two hours fast', 2 * HOUR_MS],
    ['a day fast', DAY_MS],
    ['ten years fast', FAR_MS],
    ['a day slow', -DAY_MS],
  ])('an upload with the longest one goes on in its own time, by a clock that is %s', async (_, aheadMs) => {
    const atoll = await cluster(3)
    const { kv, store, world, left } = atoll
    const wallMs = () => world.clock.wallMs() + aheadMs
    const patient = new ObjectStore(
      { ...world, clock: { ...world.clock, wallMs } },
      { kv },
      { ...OPTIONS, leaseMs: LEASE_MS },
    )
    async function* body() {
      for (let block = 0; block < 10; block++) {
        yield pattern(BLOCK, block)
        for (let days = 0; days < 3; days++) {
          world.advance(DAY_MS)
          await store(1).collect({ leewayMs: 0 })
          await store(2).collect({ leewayMs: 0 })
        }
      }
    }
    expect((await patient.put('reef', 'a', body())).size).toBe(10 * BLOCK)
    expect((await readAll((await store(1).get('reef', 'a')).body)).length).toBe(10 * BLOCK)
    expect(left()).toEqual([10, 1])
  })
})

describe('what a collection believes', () => {
  const belief = { untilMs: 2, leaseMs: 0, seenMs: 1 }

  test('hides nothing, shows nothing, and is the same when it is looked at again', () => {
    fc.assert(
      fc.property(arbitraryHistory, (history) => {
        const after = believed(history, belief)
        expect(visibleOf(after)).toEqual(visibleOf(history))
        expect(believed(after, belief)).toBe(after)
        for (const { leaseEndsMs, removedMs } of after.manifests.values())
          expect(Math.max(leaseEndsMs, removedMs)).toBeLessThanOrEqual(2)
        if (after.retired.version > 0) expect(after.retired.atMs).toBeLessThanOrEqual(2)
        expect(decodeWith(historyCodec, encodeWith(historyCodec, after))).toEqual(after)
        expect(believed(history, { ...belief, untilMs: 5 })).toBe(history)
      }),
      { numRuns: 1000 },
    )
  })

  test('of a retired version that tells of the future is when it was first seen', () => {
    const late = activate(NO_HISTORY, upload('01'.repeat(16)), FAR_MS)
    const deleted = retire(late, latestMark(late, 100))
    const joined = joinHistories(deleted, late)
    const noted = believed(joined, { untilMs: 1000, leaseMs: 0, seenMs: 500 })
    expect(noted.manifests.size).toBe(2)
    expect([
      wasSeenBy(noted, { uuid: '01'.repeat(16) }, 499),
      wasSeenBy(noted, { uuid: '01'.repeat(16) }, 500),
    ]).toEqual([false, true])
    expect(believed(noted, { untilMs: 2000, leaseMs: 0, seenMs: 1500 })).toBe(noted)
  })

  test('lets a copy of a deleted object that turned up late go after the leeway', async () => {
    const atoll = await cluster(3)
    const { kv, store, world, left } = atoll
    atoll.set(0, FAR_MS)
    const writes: Parameters<MemoryKv['put']>[] = []
    const put = kv.put.bind(kv)
    kv.put = (id, write) => {
      writes.push([id, write])
      return put(id, write)
    }
    await store(0).put('reef', 'a', 'x')
    await store(1).delete('reef', 'a')
    const [id, write] = writes[0] ?? expect.fail('nothing was written')
    await put(id, { ...write, context: undefined, ifAlone: false })
    world.advance(DAY_MS)
    await store(1).collect()
    world.advance(DAY_MS - 1)
    await store(1).collect()
    expect(left()).toEqual([0, 1])
    world.advance(1)
    await store(1).collect()
    await store(1).collect()
    expect(left()).toEqual([0, 0])
  })
})
