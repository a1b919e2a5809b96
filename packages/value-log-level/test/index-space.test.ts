import { randomFillSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KiB, MiB } from '@atoll/core'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Files, nodeFiles, ValueLogLevel } from '../src/index.ts'
import { handWound } from './hand-wound.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
const VALUES = 10_000
const VALUE_BYTES = 2500
/** Of LevelDB, as classic-level sets it: a table ends with the block that comes to more. */
const TABLE_BYTES = 2 * MiB + 64 * KiB

/** Notes what ranges it is told to compact. */
class WatchedLevel extends ClassicLevel<Uint8Array, Uint8Array> {
  readonly ranges: { readonly from: string; readonly to: string }[] = []
  /** How many of them fail. */
  failures = 0

  override compactRange(...request: unknown[]): Promise<void> {
    const [from, to] = request.map((key) =>
      key instanceof Uint8Array ? Buffer.from(key).toString('hex') : '',
    )
    // Of a range above all keys: that settles what was written.
    if (from !== undefined && to !== undefined && from !== 'ff') {
      this.ranges.push({ from, to })
      if (this.failures-- > 0) return Promise.reject(new Error('EIO'))
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

/** Many small values under keys all over, some of which are deleted again. */
async function filled({ db }: Awaited<ReturnType<typeof opened>>, deleted: number): Promise<void> {
  const keys = Array.from({ length: VALUES }, (_, n) => keyOf(n))
  for (let at = 0; at < VALUES; at += 200) {
    const puts = keys.slice(at, at + 200).map((key) => {
      const value = randomFillSync(Buffer.alloc(VALUE_BYTES))
      return { type: 'put', key, value, replacesBytes: 0 } as const
    })
    await db.batchBytes(puts, { sync: true })
  }
  for (let at = 0; at < deleted; at += 200) {
    const gone = keys.slice(at, Math.min(deleted, at + 200))
    await db.batchBytes(
      gone.map((key) => ({ type: 'del', key, replacesBytes: VALUE_BYTES }) as const),
      { sync: true },
    )
  }
}

describe('what was deleted of small values', () => {
  test('comes back by itself, by ranges one after the other', async () => {
    const world = await opened()
    await filled(world, VALUES - 100)
    const { db, look, usedBytes, inner, runtime } = world
    const compactions = () => runtime.metrics.value('atoll_value_log_index_compactions_total')
    await vi.waitUntil(
      async () => {
        await look()
        return compactions() === 1
      },
      { timeout: 240_000, interval: 20 },
    )
    // A table was seen to stay, which no compaction of ours had touched: why is not known for certain.
    expect(await usedBytes()).toBeLessThan(2 * MiB + TABLE_BYTES)
    expect(inner.ranges.length).toBeGreaterThan(1)
    const { ranges } = inner
    expect(ranges.every(({ from }, at) => at === 0 || from >= (ranges[at - 1]?.to ?? ''))).toBe(true)
    expect(await db.keys().all()).toHaveLength(100)
    // That was all: there is nothing to give back any more.
    for (let n = 0; n < 3; n++) await look()
    expect(compactions()).toBe(1)
    await db.close()
  })

  test('comes back after a compaction that has failed', async () => {
    const world = await opened()
    await filled(world, VALUES - 100)
    const { db, look, inner, runtime } = world
    inner.failures = 1
    const compactions = () => runtime.metrics.value('atoll_value_log_index_compactions_total')
    await vi.waitUntil(
      async () => {
        await look()
        return inner.failures < 1
      },
      { timeout: 240_000, interval: 20 },
    )
    for (let n = 0; n < 2; n++) await db.put(keyOf(n), Buffer.from('more'), { sync: true })
    await vi.waitUntil(
      async () => {
        await look()
        return compactions() === 1
      },
      { timeout: 20_000, interval: 20 },
    )
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
