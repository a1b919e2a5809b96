import { randomFillSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MiB } from '@atoll/core'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Files, nodeFiles, ValueLogLevel } from '../src/index.ts'
import { handWound } from './hand-wound.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
const WAITING = { timeout: 240_000, interval: 20 }
const VALUES = 10_000
const VALUE_BYTES = 2500

/** Notes what ranges it is told to compact, and how often it is asked what is in one. */
class WatchedLevel extends ClassicLevel<Uint8Array, Uint8Array> {
  readonly ranges: { readonly from: string; readonly to: string }[] = []
  asked = 0
  /** How many of them fail. */
  failures = 0
  /** How many of them leave everything as it is: LevelDB may have decided how deep they go before it had to go deeper. */
  idle = 0

  override approximateSize(...request: unknown[]): Promise<number> {
    this.asked += 1
    return Reflect.apply(super.approximateSize, this, request)
  }

  override compactRange(...request: unknown[]): Promise<void> {
    const [from, to] = request.map((key) =>
      key instanceof Uint8Array ? Buffer.from(key).toString('hex') : '',
    )
    // Of a range above all keys: that settles what was written.
    if (from !== undefined && to !== undefined && from !== 'ff') {
      this.ranges.push({ from, to })
      if (this.failures-- > 0) return Promise.reject(new Error('EIO'))
      if (this.idle-- > 0) return Promise.resolve()
    }
    return Reflect.apply(super.compactRange, this, request)
  }
}

let place: string

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'atoll-index-'))
})

afterEach(() => rm(place, { recursive: true }))

async function opened(own: Partial<Files> = {}) {
  const inner = new WatchedLevel(join(place, 'keys'), VIEW)
  const innerFiles = nodeFiles(join(place, 'keys'))
  const files = { ...nodeFiles(join(place, 'values')), ...own }
  const { runtime, look } = handWound()
  const db = new ValueLogLevel<Uint8Array, Uint8Array>(runtime, { inner, files, innerFiles }, VIEW)
  await db.open()
  const usedBytes = async () => (await db.space()).find(({ holds }) => holds === 'index')?.diskBytes ?? 0
  return { db, inner, runtime, look, usedBytes }
}

const keyOf = (n: number) => randomFillSync(Buffer.alloc(16)).fill(n, 15)

type World = Awaited<ReturnType<typeof opened>>

/** Many small values under keys all over, some of which are deleted again. */
async function filled(world: World, deleted: number): Promise<void> {
  const keys = await put(world)
  await remove(world, keys.slice(0, deleted))
}

async function put({ db }: World): Promise<readonly Buffer[]> {
  const keys = Array.from({ length: VALUES }, (_, n) => keyOf(n))
  for (let at = 0; at < VALUES; at += 200) {
    const puts = keys.slice(at, at + 200).map((key) => {
      const value = randomFillSync(Buffer.alloc(VALUE_BYTES))
      return { type: 'put', key, value, replacesBytes: 0 } as const
    })
    await db.batchBytes(puts, { sync: true })
  }
  return keys
}

async function remove({ db }: World, keys: readonly Buffer[]): Promise<void> {
  for (let at = 0; at < keys.length; at += 200) {
    const gone = keys.slice(at, at + 200)
    await db.batchBytes(
      gone.map((key) => ({ type: 'del', key, replacesBytes: VALUE_BYTES }) as const),
      { sync: true },
    )
  }
  // An iterator begins when all that was acknowledged is in the index: what comes later is for another compaction.
  await db.keys({ limit: 1 }).all()
}

const compactions = ({ runtime }: World) => runtime.metrics.value('atoll_value_log_index_compactions_total')

async function compacted(world: World): Promise<void> {
  await vi.waitUntil(async () => {
    await world.look()
    return compactions(world) === 1
  }, WAITING)
}

/** LevelDB may be at a compaction of its own still, which has its old tables and its new ones. */
async function nearlyEmpty({ usedBytes }: World): Promise<void> {
  await vi.waitUntil(async () => (await usedBytes()) < 2 * MiB, WAITING)
}

describe('what was deleted of small values', () => {
  test('comes back by itself, by ranges one after the other', async () => {
    const world = await opened()
    await filled(world, VALUES - 100)
    const { db, look, inner } = world
    await compacted(world)
    await nearlyEmpty(world)
    // Each of them perhaps several times in succession.
    const ranges = inner.ranges.filter(({ from }, at, all) => from !== all[at - 1]?.from)
    expect(ranges.length).toBeGreaterThan(1)
    expect(ranges.every(({ from }, at) => at === 0 || from >= (ranges[at - 1]?.to ?? ''))).toBe(true)
    expect(await db.keys().all()).toHaveLength(100)
    // That was all: there is nothing to give back any more.
    for (let n = 0; n < 3; n++) await look()
    expect(compactions(world)).toBe(1)
    await db.close()
  })

  test('comes back where a compaction does not go deep enough', async () => {
    const world = await opened()
    await filled(world, VALUES - 100)
    world.inner.idle = 1
    await compacted(world)
    await nearlyEmpty(world)
    const { ranges } = world.inner
    expect(ranges[1]).toEqual(ranges[0])
    await world.db.close()
  })

  test('comes back when those have gone who may still read it', async () => {
    const world = await opened()
    const keys = await put(world)
    const iterator = world.db.iterator()
    await iterator.next()
    await remove(world, keys)
    const { inner, look } = world
    // Until there is a range that is small enough: it has 25 MB, and goes by 8 MiB.
    await vi.waitUntil(async () => {
      await look()
      return inner.asked >= 3
    }, WAITING)
    for (let n = 0; n < 10; n++) await look()
    expect(inner.ranges).toEqual([])
    await iterator.close()
    await compacted(world)
    await nearlyEmpty(world)
    await world.db.close()
  })

  test('comes back after a compaction that has failed', async () => {
    const world = await opened()
    await filled(world, VALUES - 100)
    const { db, look, inner } = world
    inner.failures = 1
    await vi.waitUntil(
      async () => {
        await look()
        return inner.failures < 1
      },
      { timeout: 240_000, interval: 20 },
    )
    for (let n = 0; n < 2; n++) await db.put(keyOf(n), Buffer.from('more'), { sync: true })
    await compacted(world)
    await db.close()
  })

  test('stays where it is less than half of what is there, and on a disk without room for it', async () => {
    const little = await opened()
    await filled(little, VALUES / 4)
    for (let n = 0; n < 10; n++) await little.look()
    expect(little.inner.ranges).toEqual([])
    await little.db.close()
    await rm(place, { recursive: true })
    const full = await opened({ freeBytes: async () => 60 * MiB })
    await filled(full, VALUES)
    for (let n = 0; n < 10; n++) await full.look()
    expect(full.inner.ranges).toEqual([])
    await full.db.close()
  })
})
