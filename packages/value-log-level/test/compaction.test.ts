import { describe, expect, test } from 'vitest'
import { nodeRuntime } from '../src/index.ts'
import { held } from './held.ts'
import { crashImage, type DiskOp, drawFrom, emptyImage, SimDisk } from './sim-disk.ts'
import { contents, type Db, openOn } from './workload.ts'

const value = (n: number, bytes = 4000) => Buffer.alloc(bytes, `value ${n};`)

async function filled(db: Db, keys: number): Promise<void> {
  for (let n = 0; n < keys; n++) await db.put(`k${n}`, value(n), { sync: true })
}

const segmentBytesOf = (disk: SimDisk) =>
  [...disk.image.files]
    .filter(([name]) => name.endsWith('.segment'))
    .reduce((sum, [, { length }]) => sum + length, 0)

/** Large enough that compaction moves the values of a segment one by one. */
const LARGE_SEGMENTS = { segmentBytes: 8 * 1024 * 1024, groupBytes: 8 * 1024 * 1024 }

const syncsOf = (disk: SimDisk) => disk.trace.filter(({ op }) => op === 'sync').length

describe('compaction', () => {
  test('keeps the disk in proportion to what is in use, however often it is overwritten', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    for (let round = 0; round < 20; round++) {
      for (let n = 0; n < 20; n++) await db.put(`k${n}`, value(100 * round + n), { sync: true })
    }
    await db.compact()
    expect(await db.get('k7')).toEqual(value(1907))
    // 80 KB in use; at most half of each segment is waste, and there are the active one and the reserve of two.
    expect(segmentBytesOf(disk)).toBeLessThanOrEqual(7 * 64 * 1024)
    await db.close()
  })

  test('moves what is still in use, and gives the rest back', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { reserveBytes: 0 })
    await filled(db, 100)
    for (let n = 0; n < 100; n++) if (n % 10 !== 0) await db.del(`k${n}`, { sync: true })
    await db.compact()
    expect([...(await contents(db)).values()]).toEqual(
      [0, 10, 20, 30, 40, 50, 60, 70, 80, 90].map((n) => value(n).toString('latin1')).sort(),
    )
    expect(db.usage().liveBytes).toBe(10 * 4004)
    expect(segmentBytesOf(disk)).toBeLessThanOrEqual(3 * 64 * 1024)
    await db.close()
  })

  test('leaves a small directory when everything is deleted', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { reserveBytes: 0 })
    await filled(db, 200)
    expect(segmentBytesOf(disk)).toBeGreaterThan(12 * 64 * 1024)
    await db.clear()
    await db.compact()
    await db.close()
    expect(segmentBytesOf(disk)).toBeLessThanOrEqual(2 * 64 * 1024)
  })

  test('finds large values that small ones have replaced, which are not looked up when written', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { reserveBytes: 0 })
    await filled(db, 100)
    // Whoever reads all of it waits until all of it is applied: what is applied together is looked up together.
    expect((await contents(db)).size).toBe(100)
    for (let n = 0; n < 100; n++) await db.put(`k${n}`, Buffer.from('small'), { sync: true })
    expect(db.usage().liveBytes).toBeGreaterThan(300_000)
    await db.compact()
    expect(db.usage().liveBytes).toBeLessThan(64 * 1024)
    await db.close()
  })

  test('keeps what a snapshot and an open iterator may still read', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { reserveBytes: 0 })
    await filled(db, 60)
    const snapshot = db.snapshot()
    const iterator = db.iterator()
    const [first] = await iterator.nextv(1)
    expect(first?.[0]).toBe('k0')
    for (let round = 1; round < 5; round++) {
      for (let n = 0; n < 60; n++) await db.put(`k${n}`, value(1000 * round + n), { sync: true })
    }
    await db.compact()
    for (let n = 0; n < 60; n++) expect(await db.get(`k${n}`, { snapshot })).toEqual(value(n))
    const rest = await iterator.all()
    expect(rest.map(([key, held]) => [key, Buffer.from(held).equals(value(Number(key.slice(1))))])).toEqual(
      rest.map(([key]) => [key, true]),
    )
    expect(rest).toHaveLength(59)
    const before = segmentBytesOf(disk)
    await snapshot.close()
    await db.compact()
    await db.close()
    expect(segmentBytesOf(disk)).toBeLessThan(before)
  })

  test('is begun again after a close in the middle of it', async () => {
    const disk = new SimDisk()
    const slow = openOn(disk, { reserveBytes: 0, compactBytesPerSecond: 1024 })
    await filled(slow, 100)
    for (let n = 0; n < 100; n++) if (n % 5 !== 0) await slow.del(`k${n}`, { sync: true })
    await slow.close()
    const db = openOn(disk, { reserveBytes: 0 })
    await db.open()
    await db.compact()
    expect(await contents(db)).toHaveProperty('size', 20)
    expect(segmentBytesOf(disk)).toBeLessThanOrEqual(4 * 64 * 1024)
    await db.close()
  })

  test('gives a segment back only when it is certain that nothing points to it, whoever reads meanwhile', async () => {
    const disk = new SimDisk()
    const runtime = nodeRuntime()
    const nap = held()
    const options = { ...LARGE_SEGMENTS, reserveBytes: 0 }
    const db = openOn(disk, options, { ...runtime, clock: { ...runtime.clock, sleep: nap.hold } })
    for (let n = 0; n < 8; n++) await db.put(`k${n}`, value(n, 1_100_000), { sync: true })
    for (let n = 1; n < 7; n++) await db.del(`k${n}`, { sync: true })
    // What was in use has been moved; from here on a checkpoint waits.
    await nap.reached
    const checkpoint = held()
    disk.delay = (op) => (op === 'inner' ? checkpoint.hold() : Promise.resolve())
    nap.letGo()
    await checkpoint.reached
    expect(Buffer.from((await db.get('k0')) ?? '').equals(value(0, 1_100_000))).toBe(true)
    await new Promise(setImmediate)
    expect(disk.image.files.has('00000000.segment')).toBe(true)
    checkpoint.letGo()
    await db.compact()
    expect(disk.image.files.has('00000000.segment')).toBe(false)
    await db.close()
  })

  test('keeps a segment until what it has moved is synced, so that a power cut loses none of it', async () => {
    const disk = new SimDisk()
    const runtime = nodeRuntime()
    const nap = held()
    const options = { ...LARGE_SEGMENTS, reserveBytes: 0, flushDelayMs: 60_000 }
    const db = openOn(disk, options, { ...runtime, clock: { ...runtime.clock, sleep: nap.hold } })
    for (let n = 0; n < 8; n++) await db.put(`k${n}`, value(n, 1_100_000), { sync: true })
    for (let n = 1; n < 7; n++) await db.del(`k${n}`, { sync: true })
    // It has moved something.
    await nap.reached
    const sync = held()
    disk.delay = (op) => (op === 'sync' ? sync.hold() : Promise.resolve())
    nap.letGo()
    await sync.reached
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate)
    // What is removed is gone at once, and what was not synced is not there.
    const fate = ({ op }: DiskOp) => (op === 'remove' ? 'kept' : 'lost')
    const cut = new SimDisk(crashImage(emptyImage(), disk.trace, fate, drawFrom(1)))
    const again = openOn(cut)
    expect(Buffer.from((await again.get('k0')) ?? '').equals(value(0, 1_100_000))).toBe(true)
    expect(Buffer.from((await again.get('k7')) ?? '').equals(value(7, 1_100_000))).toBe(true)
    await again.close()
    sync.letGo()
    await db.compact()
    expect(await db.keys().all()).toEqual(['k0', 'k7'])
    await db.close()
  })

  test('brings nothing back that was deleted while it moved it', async () => {
    const disk = new SimDisk()
    const runtime = nodeRuntime()
    const nap = held()
    const db = openOn(disk, LARGE_SEGMENTS, { ...runtime, clock: { ...runtime.clock, sleep: nap.hold } })
    const large = value(1, 1_100_000)
    for (let n = 0; n < 8; n++) await db.put(`k${n}`, large, { sync: true })
    for (let n = 0; n < 5; n++) await db.del(`k${n}`, { sync: true })
    // It has looked up k5 and k6, and moved k5.
    await nap.reached
    const inner = held()
    disk.delay = (op) => (op === 'inner' ? inner.hold() : Promise.resolve())
    await db.del('k6', { sync: true })
    const moved = syncsOf(disk) + 1
    nap.letGo()
    while (syncsOf(disk) < moved) await new Promise(setImmediate)
    await new Promise(setImmediate)
    expect(await db.get('k6')).toBeUndefined()
    inner.letGo()
    await db.compact()
    expect(await db.keys().all()).toEqual(['k5', 'k7'])
    await db.close()
  })

  test('leaves a segment with a damaged value alone, and moves the others', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { reserveBytes: 0 })
    await filled(db, 16)
    const bytes = disk.image.files.get('00000000.segment')
    if (bytes !== undefined) bytes[4096 + 1000] = (bytes[4096 + 1000] ?? 0) ^ 1
    for (let n = 3; n < 40; n++) await db.put(`k${n}`, value(n), { sync: true })
    await db.compact()
    await expect(db.get('k0')).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
    expect(await db.get('k1')).toEqual(value(1))
    expect(disk.image.files.has('00000000.segment')).toBe(true)
    await db.close()
  })
})

describe('a segment file', () => {
  test('is written again rather than created anew', async () => {
    const disk = new SimDisk()
    disk.delay = () => new Promise(setImmediate)
    const db = openOn(disk, { reserveBytes: 10 * 64 * 1024 })
    for (let round = 0; round < 30; round++) {
      for (let n = 0; n < 20; n++) await db.put(`k${n}`, value(round), { sync: true })
    }
    await db.close()
    const created = disk.trace.filter(({ op }) => op === 'create').length
    expect(created).toBeLessThan(12)
  })

  test('is made for a batch that is larger than the usual ones', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    const large = value(1, 300_000)
    await db.batch([
      { type: 'put', key: 'a', value: large },
      { type: 'put', key: 'b', value: value(2) },
    ])
    expect(large.equals((await db.get('a')) ?? Buffer.of())).toBe(true)
    await db.close()
    await db.open()
    const [a, b] = await db.getMany(['a', 'b'])
    expect(large.equals(a ?? Buffer.of())).toBe(true)
    expect(b).toEqual(value(2))
    await db.close()
  })
})
