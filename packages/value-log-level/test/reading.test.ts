import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { nodeRuntime } from '../src/index.ts'
import { held } from './held.ts'
import { drawFrom, SimDisk } from './sim-disk.ts'
import { type Db, openOn } from './workload.ts'

const KiB = 1024

const LARGE = { segmentBytes: 2048 * KiB, reserveBytes: 0 }

/** What the first segment holds behind its header, which differs from log to log. */
const recordsOf = (disk: SimDisk) =>
  Buffer.from(disk.image.files.get('00000000.segment')?.subarray(4096) ?? [])

const textOf = async (bytes: Promise<Uint8Array | undefined>) => Buffer.from((await bytes) ?? '').toString()

describe('a range of a value', () => {
  test('is what the value holds there, wherever it lies', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    const value = Buffer.alloc(200 * KiB)
    for (let at = 0; at + 4 <= value.length; at += 4) value.writeUInt32LE(at, at)
    await db.batch([
      { type: 'put', key: 'large', value },
      { type: 'put', key: 'small', value: Buffer.from('0123456789') },
    ])
    const bound = fc.integer({ min: 0, max: 210 * KiB })
    await fc.assert(
      fc.asyncProperty(bound, bound, async (a, b) => {
        const range = { start: Math.min(a, b), end: Math.max(a, b) }
        const found = await db.getRange('large', range)
        expect(Buffer.compare(found ?? Buffer.of(), value.subarray(range.start, range.end))).toBe(0)
      }),
      { numRuns: 60 },
    )
    expect(await db.getRange('small', { start: 2, end: 5 })).toEqual(Buffer.from('234'))
    expect(value.equals((await db.getRange('large')) ?? Buffer.of())).toBe(true)
    expect(await db.getRange('nothing')).toBeUndefined()
    await expect(db.getRange('large', { start: 5, end: 4 })).rejects.toThrow(RangeError)
    await db.close()
  })

  test('reads the chunks it touches and no more', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    await db.put('k', Buffer.alloc(1024 * KiB, 7), { sync: true })
    const bytes = [...disk.image.files.values()].find(({ length }) => length > 1024 * KiB)
    if (bytes !== undefined) bytes[4096 + 500 * KiB] = 0
    expect(await db.getRange('k', { start: 10 * KiB, end: 20 * KiB })).toEqual(Buffer.alloc(10 * KiB, 7))
    await expect(db.getRange('k', { start: 500 * KiB, end: 501 * KiB })).rejects.toMatchObject({
      code: 'ATOLL_CORRUPT',
    })
    await expect(db.get('k')).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
    await db.close()
  })
})

describe('a summed value', () => {
  test('has the sum of all its bytes, whatever its length', async () => {
    const db = openOn(new SimDisk(), { segmentBytes: 1024 * KiB })
    const random = drawFrom(7)
    for (const length of [300, 301, 64 * KiB - 1, 64 * KiB, 64 * KiB + 1, 200 * KiB + 3, 256 * KiB]) {
      const value = Buffer.from(Array.from({ length }, () => random(256)))
      await db.put('k', value, { sync: true })
      const summed = await db.getSummed(Buffer.from('k'))
      expect(value.equals(summed?.value ?? Buffer.of())).toBe(true)
      expect(summed?.crc32).toBe(crc32(value))
    }
    await db.close()
  })

  test('is a value like any other when it is small, missing, of another time, or damaged', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    const key = Buffer.from('k')
    expect(await db.getSummed(key)).toBeUndefined()
    await db.put('k', Buffer.from('small'), { sync: true })
    const snapshot = db.snapshot()
    await db.put('k', Buffer.alloc(1000, 1), { sync: true })
    const before = await db.getSummed(key, { snapshot })
    expect(Buffer.from(before?.value ?? '').toString()).toBe('small')
    expect(before?.crc32).toBeUndefined()
    await snapshot.close()
    const bytes = [...disk.image.files.values()].find(({ length }) => length === 64 * KiB) ?? Buffer.of()
    for (let at = 4096; at < 6000; at++) bytes[at] = (bytes[at] ?? 0) ^ 1
    await expect(db.getSummed(key)).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
    await expect(db.getSummed(Object('k'))).rejects.toThrow(TypeError)
    await db.close()
  })
})

describe('a batch of bytes', () => {
  const parts = fc.record({
    head: fc.integer({ min: 0, max: 70 * KiB }),
    tail: fc.integer({ min: 0, max: 200 * KiB }),
  })

  test('lies on the disk as if each value had come in one part', async () => {
    const random = drawFrom(3)
    const bytes = Buffer.from(Array.from({ length: 300 * KiB }, () => random(256)))
    const key = Buffer.from('k')
    await fc.assert(
      fc.asyncProperty(parts, async ({ head, tail }) => {
        const inOne = new SimDisk()
        const inTwo = new SimDisk()
        const runtime = { ...nodeRuntime(), random: { bytes: (length: number) => new Uint8Array(length) } }
        const [one, two] = [openOn(inOne, LARGE, runtime), openOn(inTwo, LARGE, runtime)]
        const whole = bytes.subarray(0, head + tail)
        const value = whole.subarray(0, head)
        for (const _ of [1, 2]) {
          await one.put('k', whole, { sync: true })
          await two.batchBytes([{ type: 'put', key, value, tail: bytes.subarray(head, head + tail) }], {
            sync: true,
          })
        }
        expect(whole.equals((await two.get('k')) ?? Buffer.of())).toBe(true)
        await two.close()
        await one.close()
        expect(recordsOf(inTwo).equals(recordsOf(inOne))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  test('deletes, too, and is refused as a whole if a part of it is no bytes', async () => {
    const db = openOn(new SimDisk())
    const [a, b] = [Buffer.from('a'), Buffer.from('b')]
    await db.batchBytes([
      { type: 'put', key: a, value: a },
      { type: 'put', key: b, value: a, tail: b },
      { type: 'del', key: a },
    ])
    expect(await textOf(db.get('b'))).toBe('ab')
    await expect(
      db.batchBytes([
        { type: 'put', key: a, value: b },
        { type: 'put', key: b, value: Object('text') },
      ]),
    ).rejects.toThrow(/value must be a Uint8Array/)
    expect(await db.keys().all()).toEqual(['b'])
    await db.close()
  })

  test('is done with the bytes of a value once it is acknowledged', async () => {
    const db = openOn(new SimDisk(), LARGE)
    const written = [1, 2, 3].map(async (at) => {
      const tail = Buffer.alloc(at * 70 * KiB, at)
      const [key, value] = [Buffer.from(`k${at}`), Buffer.from('head')]
      await db.batchBytes([{ type: 'put', key, value, tail, tailCrc32: crc32(tail) }], { sync: at !== 2 })
      tail.fill(0xdd)
      value.fill(0xdd)
      const expected = Buffer.concat([Buffer.from('head'), Buffer.alloc(at * 70 * KiB, at)])
      expect(expected.equals((await db.get(`k${at}`)) ?? Buffer.of())).toBe(true)
      await db.compact()
      expect(expected.equals((await db.get(`k${at}`)) ?? Buffer.of())).toBe(true)
    })
    await Promise.all(written)
    await db.close()
  })

  test('of bytes that another log has written before reads them only to write them', async () => {
    const runtime = nodeRuntime()
    let summedBytes = 0
    const counting = (data: Uint8Array, seed?: number) => {
      summedBytes += data.length
      return runtime.digest.crc32(data, seed)
    }
    const tail = Buffer.alloc(200 * KiB, 5)
    const tailCrc32 = crc32(tail)
    const put = { type: 'put', key: Buffer.from('k'), value: Buffer.from('head'), tail, tailCrc32 } as const
    const first = openOn(new SimDisk(), LARGE)
    await first.batchBytes([put], { sync: true })
    const second = openOn(new SimDisk(), LARGE, { ...runtime, digest: { crc32: counting } })
    await second.open()
    summedBytes = 0
    await second.batchBytes([put], { sync: true })
    expect(summedBytes).toBeLessThan(1000)
    // The same buffer, with other bytes in it.
    tail.fill(6)
    await second.batchBytes([{ ...put, tailCrc32: crc32(tail) }], { sync: true })
    expect((await second.get('k'))?.subarray(4)).toEqual(tail)
    await second.batchBytes([{ ...put, tailCrc32: undefined }], { sync: true })
    expect((await second.get('k'))?.subarray(4)).toEqual(tail)
    await first.close()
    await second.close()
  })
})

describe('a write without sync', () => {
  test('is seen by every kind of read at once, before the disk has it', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { flushDelayMs: 60_000 })
    await db.open()
    const synced = disk.trace.filter(({ op }) => op === 'sync').length
    await db.put('a', Buffer.from('old'))
    await db.put('a', Buffer.from('new'))
    await db.put('b', Buffer.alloc(1000, 1))
    await db.put('c', Buffer.from('gone'))
    await db.del('c')
    expect(await db.get('a')).toEqual(Buffer.from('new'))
    expect(await db.getMany(['a', 'b', 'c'])).toEqual([Buffer.from('new'), Buffer.alloc(1000, 1), undefined])
    expect(await db.hasMany(['a', 'b', 'c', 'd'])).toEqual([true, true, false, false])
    expect(await db.getRange('b', { start: 1, end: 3 })).toEqual(Buffer.of(1, 1))
    expect(disk.trace.filter(({ op }) => op === 'sync').length).toBe(synced)
    expect(await db.keys().all()).toEqual(['a', 'b'])
    await db.close()
  })

  test('is not in a snapshot that was taken before it', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { flushDelayMs: 60_000 })
    await db.put('a', Buffer.from('before'))
    const snapshot = db.snapshot()
    const after = db.put('a', Buffer.from('after'))
    expect(await textOf(db.get('a', { snapshot }))).toBe('before')
    await after
    expect(await textOf(db.get('a'))).toBe('after')
    await snapshot.close()
    await db.close()
  })
})

/** An open database whose inner one takes nothing from now on until it is let go. */
async function withBusyInner() {
  const disk = new SimDisk()
  const db = openOn(disk)
  await db.open()
  const inner = held()
  disk.delay = (op) => (op === 'inner' ? inner.hold() : Promise.resolve())
  return { db, letGo: inner.letGo }
}

describe('a durable write', () => {
  test('is acknowledged and seen by every kind of read while the inner database is still busy', async () => {
    const { db, letGo } = await withBusyInner()
    await db.put('a', Buffer.from('old'), { sync: true })
    await db.put('a', Buffer.from('new'), { sync: true })
    await db.put('b', Buffer.alloc(1000, 1), { sync: true })
    await db.batch(
      [
        { type: 'put', key: 'c', value: Buffer.from('gone') },
        { type: 'del', key: 'c' },
      ],
      { sync: true },
    )
    expect(await textOf(db.get('a'))).toBe('new')
    expect(await db.getMany(['a', 'b', 'c'])).toEqual([Buffer.from('new'), Buffer.alloc(1000, 1), undefined])
    expect(await db.hasMany(['a', 'b', 'c', 'd'])).toEqual([true, true, false, false])
    const keys = db.keys().all()
    const snapshot = db.snapshot()
    await db.put('later', Buffer.from('not seen'), { sync: true })
    letGo()
    expect(await keys).toEqual(['a', 'b'])
    expect(await db.get('later', { snapshot })).toBeUndefined()
    expect(await textOf(db.get('a', { snapshot }))).toBe('new')
    await snapshot.close()
    expect(await db.keys().all()).toEqual(['a', 'b', 'later'])
    await db.close()
  })

  test('counts in the order of the record, whatever was acknowledged first', async () => {
    const { db, letGo } = await withBusyInner()
    const synced = Buffer.from('synced')
    const first = db.put('a', synced, { sync: true })
    const second = db.put('a', Buffer.from('not synced'))
    const third = db.put('b', Buffer.from('not synced'))
    const fourth = db.put('b', synced, { sync: true })
    await Promise.all([second, third])
    expect(await textOf(db.get('a'))).toBe('not synced')
    expect(await textOf(db.get('b'))).toBe('not synced')
    await Promise.all([first, fourth])
    expect(await textOf(db.get('a'))).toBe('not synced')
    expect(await textOf(db.get('b'))).toBe('synced')
    letGo()
    await db.close()
    await db.open()
    expect(await textOf(db.get('a'))).toBe('not synced')
    expect(await textOf(db.get('b'))).toBe('synced')
    await db.close()
  })
})

describe('options', () => {
  test('are checked by name and value', () => {
    const disk = new SimDisk()
    expect(() => openOn(disk, { segmentBytes: 10 })).toThrow(
      'segmentBytes must be an integer from 65536 to 4294967296, got 10',
    )
    expect(() => openOn(disk, { compactAtLiveShare: 2 })).toThrow(RangeError)
    expect(() => openOn(disk, Object({ treshold: 1 }))).toThrow('valueLog has no option "treshold"')
  })

  test('bound what may wait and what a batch may hold', async () => {
    const db = openOn(new SimDisk(), { maxPendingBytes: 2048, maxBatchBytes: 1500 })
    await db.open()
    await expect(db.put('k', Buffer.alloc(2000))).rejects.toMatchObject({ code: 'ATOLL_TOO_LARGE' })
    const puts = Array.from({ length: 5 }, (_, n) => db.put(`k${n}`, Buffer.alloc(1000), { sync: true }))
    const outcomes = await Promise.allSettled(puts)
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
      'rejected',
    ])
    expect(outcomes[2]).toMatchObject({ reason: { code: 'ATOLL_OVERLOADED', transient: true } })
    await db.close()
  })
})

test('a value belongs to whoever reads it, though it is in the log alone and has yet to reach the index', async () => {
  const disk = new SimDisk()
  const db = openOn(disk, { thresholdBytes: 4 * KiB })
  await db.open()
  const value = Buffer.alloc(200, 1)
  const key = Buffer.from('k')
  const ways: Record<string, () => Promise<Uint8Array | undefined>> = {
    get: () => db.get('k'),
    getMany: async () => (await db.getMany(['k']))[0],
    getRange: () => db.getRange('k', { start: 0, end: 200 }),
    getSummed: async () => (await db.getSummed(key))?.value,
    findSummed: async () => (await db.findSummed(key))?.value,
  }
  for (const [way, read] of Object.entries(ways)) {
    const inner = held()
    disk.delay = (op) => (op === 'inner' ? inner.hold() : Promise.resolve())
    await db.put('k', value, { sync: true })
    const read1 = await read()
    expect(read1, way).toEqual(value)
    read1?.fill(2)
    expect(await read(), way).toEqual(value)
    inner.letGo()
    await db.keys().all()
    expect(await db.get('k'), way).toEqual(value)
  }
  await db.close()
})

describe('two values of which one cannot be decoded, and the other one cannot be read later', () => {
  test.each([
    ['asked for together', (db: Db) => db.getMany(['a', 'b'])],
    ['gone over', (db: Db) => db.iterator().nextv(2)],
  ])('%s, fail whoever reads, and nothing else', async (_, read) => {
    const unheard: unknown[] = []
    const hear = (reason: unknown) => void unheard.push(reason)
    process.on('unhandledRejection', hear)
    try {
      const { image } = await withDamagedIndex()
      const disk = new SimDisk(image)
      const db = openOn(disk)
      await db.open()
      const file = held()
      disk.delay = (op) => (op === 'read' ? file.hold() : Promise.resolve())
      disk.fault = (_number, op, name) =>
        op === 'read' && name.endsWith('.segment') ? new Error('the disk cannot read this') : undefined
      await expect(read(db)).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
      file.letGo()
      await db.close()
      // What nobody hears of is told when the turn is over.
      await new Promise(setImmediate)
    } finally {
      process.off('unhandledRejection', hear)
    }
    expect(unheard).toEqual([])
  })

  /** The value of b is none that a log has written. */
  async function withDamagedIndex(): Promise<SimDisk> {
    const disk = new SimDisk()
    const db = openOn(disk)
    await db.batch(
      [
        { type: 'put', key: 'a', value: Buffer.alloc(40 * KiB, 1) },
        { type: 'put', key: 'b', value: Buffer.from('small') },
      ],
      { sync: true },
    )
    await db.close()
    const key = [...disk.image.inner.keys()].find((hex) => Buffer.from(hex, 'hex').toString().endsWith('b'))
    assert(key !== undefined, 'the inner database has the key of a small value')
    disk.image.inner.set(key, Uint8Array.of(99))
    return disk
  }
})
