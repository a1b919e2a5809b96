import { MiB } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import type { ValueLogOptions } from '../src/index.ts'
import { handWound } from './hand-wound.ts'
import { crashImage, drawFrom, emptyImage, SimDisk } from './sim-disk.ts'
import { contents, type Db, openOn } from './workload.ts'

const value = (n: number, bytes = 4000) => Buffer.alloc(bytes, `value ${n};`)
const small = Buffer.from('gone')
const SEGMENT = 64 * 1024
const MANY = 400

const segmentBytesOf = (disk: SimDisk) =>
  [...disk.image.files]
    .filter(([name]) => name.endsWith('.segment'))
    .reduce((sum, [, { length }]) => sum + length, 0)

/** Looks until no more bytes are taken than that; fails when nothing has become of it after `looks`. */
async function shrinks(disk: SimDisk, look: () => Promise<void>, bytes: number, looks = 12): Promise<void> {
  for (let n = 0; n < looks && segmentBytesOf(disk) > bytes; n++) await look()
  expect(segmentBytesOf(disk)).toBeLessThanOrEqual(bytes)
}

async function filled(db: Db, keys = MANY): Promise<void> {
  const puts = Array.from({ length: keys }, (_, n) => ({
    type: 'put' as const,
    key: `k${n}`,
    value: value(n),
  }))
  for (let at = 0; at < keys; at += 4) await db.batch(puts.slice(at, at + 4), { sync: true })
  // An iterator waits until all is applied: what is written together is counted together.
  await db.keys({ limit: 1 }).all()
}

const bytesOf = (key: string) => Buffer.from(key)
/** What the collection of a block does: a small record over a large one. */
const hidden = (n: number, replacesBytes?: number) =>
  ({ type: 'put', key: bytesOf(`k${n}`), value: small, replacesBytes }) as const

const OPTIONS: ValueLogOptions = { reserveBytes: 4 * SEGMENT }

/** A log on a disk of its own, of which a test turns the clock. */
function openedWorld(options: ValueLogOptions = {}) {
  const disk = new SimDisk()
  const { runtime, look } = handWound()
  return { disk, runtime, look, db: openOn(disk, { ...OPTIONS, ...options }, runtime) }
}

async function filledWorld(options?: ValueLogOptions) {
  const world = openedWorld(options)
  await filled(world.db)
  return world
}

/** What a file takes of a disk that gives room as it is written. */
function writtenOn(disk: SimDisk): number {
  let sum = 0
  for (const [name, bytes] of disk.image.files) {
    if (name.endsWith('.segment')) sum += bytes.findLastIndex((byte) => byte !== 0) + 1
  }
  return sum
}

describe('space comes back by itself', () => {
  test.each([
    ['every other value', 2, 1, 16 * MiB],
    ['two of three values', 3, 2, 16 * MiB],
    // Up to twice what is kept.
    ['one of three values', 3, 1, 12 * MiB],
    ['one of six values', 6, 1, 6 * MiB],
  ])('on a disk that is nearly full, when %s goes out of use all over it', async (_, every, gone, back) => {
    const disk = new SimDisk()
    const { runtime, look } = handWound()
    const [segmentBytes, valueBytes, values] = [4 * MiB, 200_000, 240]
    const sizes = {
      segmentBytes,
      spareBytes: 6 * MiB,
      groupBytes: MiB,
      checkpointBytes: 64 * MiB,
      reserveBytes: 0,
    }
    const db = openOn(disk, sizes, runtime)
    for (let n = 0; n < values; n++) await db.put(`k${n}`, value(n, valueBytes), { sync: true })
    const room = writtenOn(disk) + 5 * MiB
    let leastBytes = room
    const freeNow = () => {
      const free = Math.max(0, room - writtenOn(disk))
      leastBytes = Math.min(leastBytes, free)
      return free
    }
    Object.defineProperty(disk, 'freeBytes', { get: freeNow })
    for (let n = 0; n < values; n++) {
      if (n % every < gone) await db.batchBytes([hidden(n, valueBytes)], { sync: true, tellsReplaced: true })
    }
    for (let n = 0; n < 40 && freeNow() < back; n++) await look()
    expect(freeNow()).toBeGreaterThanOrEqual(back)
    expect(leastBytes).toBeGreaterThanOrEqual(1.5 * MiB)
    // Somebody has to look for the rest to go on.
    let isOver = false
    const ending = (async () => {
      const left = await contents(db)
      for (let n = 0; n < values; n++)
        expect(left.get(`k${n}`)).toBe(`${n % every < gone ? small : value(n, valueBytes)}`)
      await db.close()
    })().finally(() => {
      isOver = true
    })
    while (!isOver) await look()
    await ending
  })

  test('and values that fill segments no better wherever they lie are not moved again and again', async () => {
    // Two of them take less than nine tenths of a segment, and nothing of it is out of use.
    const [valueBytes, values] = [27_000, 24]
    const { db, disk, look, runtime } = openedWorld({ reserveBytes: 0, spareBytes: 6 * MiB })
    disk.freeBytes = 5 * MiB
    for (let n = 0; n < values; n++) await db.put(`k${n}`, value(n, valueBytes), { sync: true })
    for (let n = 0; n < 40; n++) await look()
    expect(runtime.metrics.value('atoll_value_log_compacted_segments_total') ?? 0).toBe(0)
    for (let n = 0; n < values; n += 2)
      await db.batchBytes([hidden(n, valueBytes)], { sync: true, tellsReplaced: true })
    await db.keys({ limit: 1 }).all()
    for (let n = 0; n < 40; n++) await look()
    // Half of them is out of use, and what is in use lies in as few segments as it fits into, beside the one being written.
    const compacted = runtime.metrics.value('atoll_value_log_compacted_segments_total') ?? 0
    expect(compacted).toBeGreaterThanOrEqual(values / 4)
    expect(compacted).toBeLessThanOrEqual(values)
    await db.close()
  })

  test('when small values take the place of large ones, and their writer says so', async () => {
    const { db, disk, look, runtime } = await filledWorld()
    expect(segmentBytesOf(disk)).toBeGreaterThan(24 * SEGMENT)
    for (let n = 0; n < MANY; n++) await db.batchBytes([hidden(n, 4000)], { sync: true, tellsReplaced: true })
    // An iterator waits for all that was acknowledged.
    expect(await db.keys().all()).toHaveLength(MANY)
    expect(db.usage().liveBytes).toBe(0)
    await shrinks(disk, look, SEGMENT)
    expect(runtime.metrics.value('atoll_value_log_live_bytes')).toBe(0)
    expect(await contents(db)).toHaveProperty('size', MANY)
    await db.close()
  })

  test('when they do so and nobody says so', async () => {
    const { db, disk, look } = await filledWorld({ checkpointBytes: 1e9 })
    for (let n = 0; n < MANY; n++) await db.put(`k${n}`, small, { sync: true })
    expect(await db.keys().all()).toHaveLength(MANY)
    expect(db.usage().liveBytes).toBeGreaterThan(MANY * 3000)
    await shrinks(disk, look, SEGMENT)
    await db.close()
  })

  test('when keys are deleted, down to what is in use', async () => {
    const { db, disk, look } = await filledWorld()
    for (let n = 0; n < MANY; n++) if (n % 40 !== 0) await db.del(`k${n}`, { sync: true })
    await shrinks(disk, look, 2 * SEGMENT)
    expect([...(await contents(db)).keys()]).toHaveLength(MANY / 40)
    expect(db.usage()).toMatchObject({ liveBytes: (MANY / 40) * 4004 })
    await db.close()
  })

  test('after a crash that came between what was hidden and its checkpoint', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { ...OPTIONS, checkpointBytes: 1e9 })
    await filled(db)
    for (let n = 0; n < MANY; n++) await db.batchBytes([hidden(n, 4000)], { sync: true, tellsReplaced: true })
    // As after a kill: the inner database has it all, and the last checkpoint knows of nothing.
    const killed = new SimDisk(crashImage(emptyImage(), disk.trace, () => 'kept', drawFrom(1)))
    const { runtime, look } = handWound()
    const again = openOn(killed, OPTIONS, runtime)
    expect(await contents(again)).toHaveProperty('size', MANY)
    await shrinks(killed, look, SEGMENT, 24)
    await again.close()
    await db.close()
  })

  test('after a close, of values of which the count was in doubt', async () => {
    const disk = new SimDisk()
    const first = openOn(disk, { ...OPTIONS, checkpointBytes: 1e9 })
    await filled(first)
    for (let n = 0; n < MANY; n++) await first.put(`k${n}`, small, { sync: true })
    await first.close()
    expect(segmentBytesOf(disk)).toBeGreaterThan(24 * SEGMENT)
    const { runtime, look } = handWound()
    const db = openOn(disk, OPTIONS, runtime)
    await db.open()
    await shrinks(disk, look, SEGMENT)
    await db.close()
  })

  test('while somebody reads an old state, when he has gone', async () => {
    const { db, disk, look } = await filledWorld()
    const snapshot = db.snapshot()
    for (let n = 0; n < MANY; n++) await db.del(`k${n}`, { sync: true })
    for (let n = 0; n < 5; n++) await look()
    expect(await db.get('k7', { snapshot })).toEqual(value(7))
    await snapshot.close()
    await shrinks(disk, look, SEGMENT)
    await db.close()
  })
})

describe('free segments', () => {
  test('are kept while as much is written, and given back when little is', async () => {
    const { db, disk, look } = openedWorld()
    for (let round = 0; round < 4; round++) {
      await filled(db, 40)
      for (let n = 0; n < 40; n++) await db.del(`k${n}`, { sync: true })
      await look()
    }
    expect(db.usage().freeSegments).toBeGreaterThanOrEqual(2)
    await shrinks(disk, look, SEGMENT)
    await db.close()
  })

  test('that were asked for are kept', async () => {
    const disk = new SimDisk()
    const { runtime, look } = handWound()
    const options = { reserveBytes: 8 * SEGMENT, preallocateBytes: 4 * SEGMENT }
    const db = openOn(disk, options, runtime)
    await db.open()
    for (let n = 0; n < 12; n++) await look()
    expect(segmentBytesOf(disk)).toBeGreaterThanOrEqual(4 * SEGMENT)
    await db.close()
  })
})

test('a log that nobody writes to comes to rest', async () => {
  const { db, disk, look } = await filledWorld()
  for (let n = 0; n < MANY; n++) await db.put(`k${n}`, small, { sync: true })
  for (let n = 0; n < 40; n++) await look()
  const { operations } = disk
  for (let n = 0; n < 10; n++) await look()
  expect(disk.operations).toBe(operations)
  await db.close()
})

describe('compact', () => {
  test('says how far it is, and stops when it is told to', async () => {
    const { db } = await filledWorld({ compactAtLiveShare: 0 })
    for (let n = 0; n < MANY; n++) if (n % 4 !== 0) await db.del(`k${n}`, { sync: true })
    const stop = new AbortController()
    const told: number[] = []
    const onProgress = ({ segments }: { segments: number }) => {
      told.push(segments)
      if (segments === 3) stop.abort(new Error('enough'))
    }
    await expect(db.compact({ signal: stop.signal, onProgress })).rejects.toThrow('enough')
    expect(told).toEqual([1, 2, 3])
    await db.compact()
    expect(await contents(db)).toHaveProperty('size', MANY / 4)
    expect(db.usage().deadBytes).toBeLessThan(3 * SEGMENT)
    await db.close()
  })
})
