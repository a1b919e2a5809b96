import { isAtollError } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import type { BatchChain } from '../src/index.ts'
import { held } from './held.ts'
import { drawFrom, emptyImage, type Image, SimDisk } from './sim-disk.ts'
import {
  contents,
  countOf,
  type Db,
  drawWrite,
  modelAfter,
  openOn,
  operationsOf,
  type Write,
} from './workload.ts'

const WRITES = 40

/** The batches one after the other; returns the last that was acknowledged with sync. Errors must have a code. */
async function run(db: Db, writes: readonly Write[]): Promise<number> {
  let acknowledged = -1
  for (const [index, write] of writes.entries()) {
    try {
      await db.batch(operationsOf(write), { sync: write.sync })
      if (write.sync) acknowledged = index
      if (index % 5 === 0) await contents(db)
    } catch (error) {
      expect(isAtollError(error), String(error)).toBe(true)
      // A batch that failed may be there or not; nothing is written after it, so that the order stays known.
      return acknowledged
    }
  }
  return acknowledged
}

async function openedOrFailed(db: Db): Promise<boolean> {
  try {
    await db.open()
    return true
  } catch (error) {
    expect(error).toMatchObject({ code: 'LEVEL_DATABASE_NOT_OPEN' })
    expect(isAtollError((error as Error).cause), String((error as Error).cause)).toBe(true)
    return false
  }
}

describe('an IO error', () => {
  test.each([false, true])(
    'at the n-th operation, for every n until a run passes clean, loses nothing that was acknowledged (durable writes: %s)',
    async (writesDurably) => {
      const writes = Array.from({ length: WRITES }, (_, index) => drawWrite(index, drawFrom(index)))
      let clean = false
      for (let n = 1; !clean; n++) {
        const disk = new SimDisk(emptyImage(), { writesDurably })
        disk.fault = (number, op) => (number === n ? new Error(`EIO: ${op} ${n}`) : undefined)
        const db = openOn(disk)
        const acknowledged = (await openedOrFailed(db)) ? await run(db, writes) : -1
        await db.close()
        clean = disk.operations < n
        const again = new SimDisk(disk.image)
        const reopened = openOn(again)
        await reopened.open()
        const held = await contents(reopened)
        const count = countOf(held)
        expect(count, `after the error at operation ${n}`).toBeGreaterThan(acknowledged)
        expect(held).toEqual(modelAfter(writes, count))
        await reopened.close()
      }
    },
  )

  test('ends writing but not reading, and the next open goes on', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    await db.put('before', Buffer.alloc(1000, 1), { sync: true })
    disk.fault = (_, op) => (op === 'sync' ? new Error('EIO') : undefined)
    await expect(db.put('lost', Buffer.alloc(1000, 2), { sync: true })).rejects.toMatchObject({
      code: 'ATOLL_STORAGE',
      definite: false,
    })
    disk.fault = () => undefined
    await expect(db.put('later', Buffer.alloc(10), { sync: true })).rejects.toMatchObject({
      code: 'ATOLL_STORAGE',
    })
    expect(await db.get('before')).toEqual(Buffer.alloc(1000, 1))
    await db.close()
    await db.open()
    await db.put('later', Buffer.alloc(10), { sync: true })
    await db.close()
  })
})

describe('an error of the inner database', () => {
  test('takes nothing back that was acknowledged: it is read, and the next open brings it in', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    await db.open()
    disk.fault = (_, op) => (op === 'inner' ? new Error('EIO') : undefined)
    await db.put('durable', Buffer.alloc(1000, 1), { sync: true })
    await expect(db.keys().all()).rejects.toMatchObject({ code: 'ATOLL_STORAGE' })
    await expect(db.put('later', Buffer.alloc(10), { sync: true })).rejects.toMatchObject({
      code: 'ATOLL_STORAGE',
    })
    expect(await db.get('durable')).toEqual(Buffer.alloc(1000, 1))
    disk.fault = () => undefined
    await db.close()
    await db.open()
    expect(await db.get('durable')).toEqual(Buffer.alloc(1000, 1))
    expect(await db.keys().all()).toEqual(['durable'])
    await db.close()
  })
})

test('a sync that fails takes nothing with it that was durable and not in the inner database yet', async () => {
  const disk = new SimDisk()
  const db = openOn(disk)
  await db.open()
  const inner = held()
  disk.delay = (op) => (op === 'inner' ? inner.hold() : Promise.resolve())
  await db.put('applying', Buffer.alloc(10, 1), { sync: true })
  await db.put('durable', Buffer.alloc(10, 2), { sync: true })
  disk.fault = (_, op) => (op === 'sync' ? new Error('EIO') : undefined)
  await expect(db.put('lost', Buffer.alloc(10), { sync: true })).rejects.toMatchObject({
    code: 'ATOLL_STORAGE',
  })
  disk.fault = () => undefined
  const keys = db.keys().all()
  inner.letGo()
  expect(await keys).toEqual(['applying', 'durable'])
  await db.close()
  await db.open()
  expect(await db.keys().all()).toEqual(['applying', 'durable'])
  await db.close()
})

describe('a full disk', () => {
  test('refuses the batch that needs a new segment, and takes it when there is room again', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { reserveBytes: 0 })
    await db.open()
    disk.freeBytes = 0
    const value = Buffer.alloc(10_000, 3)
    const outcomes: string[] = []
    for (let n = 0; n < 12; n++) {
      const put = db.put(`k${n}`, value, { sync: true })
      outcomes.push(
        await put.then(
          () => 'done',
          (error: { code: string; definite: boolean }) => {
            expect(error.definite).toBe(true)
            return error.code
          },
        ),
      )
    }
    expect(outcomes).toEqual([...Array(6).fill('done'), ...Array(6).fill('ATOLL_DISK_FULL')])
    expect([...(await contents(db)).keys()]).toHaveLength(6)
    disk.freeBytes = 1e9
    await db.put('k6', value, { sync: true })
    await db.close()
    await db.open()
    expect(await db.get('k6')).toEqual(value)
    await db.close()
  })

  test('in the middle of any write costs the batches of that record, and nothing before or after', async () => {
    const writes = Array.from({ length: WRITES }, (_, index) => drawWrite(index, drawFrom(index)))
    let clean = false
    for (let n = 1; !clean; n++) {
      const disk = new SimDisk()
      const db = openOn(disk)
      await db.open()
      let fileWrites = 0
      disk.fault = (_, op) => {
        if (op === 'write') fileWrites += 1
        return op === 'write' && fileWrites === n
          ? Object.assign(new Error('full'), { code: 'ENOSPC' })
          : undefined
      }
      const taken: Write[] = []
      for (const write of writes) {
        const batch = db.batch(operationsOf(write), { sync: write.sync })
        await batch.then(
          () => taken.push(write),
          (error) => expect(error).toMatchObject({ code: 'ATOLL_DISK_FULL' }),
        )
      }
      disk.fault = () => undefined
      await db.put('at last', Buffer.of(1), { sync: true })
      await db.del('at last', { sync: true })
      clean = fileWrites < n
      expect(taken.length).toBeGreaterThanOrEqual(clean ? WRITES : WRITES - 1)
      expect(await contents(db)).toEqual(modelAfter(taken, taken.length))
      const crashed = openOn(new SimDisk(copyOf(disk.image)))
      expect(await contents(crashed)).toEqual(modelAfter(taken, taken.length))
      await crashed.close()
      await db.close()
      await db.open()
      expect(await contents(db)).toEqual(modelAfter(taken, taken.length))
      await db.close()
    }
  })
})

describe('batches of a chain', () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  const put = (key: string, size: number) =>
    [{ type: 'put', key: bytes(key), value: new Uint8Array(size).fill(7) }] as const

  test('fail behind one that could not be written, and none of them is written', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { segmentBytes: 1e6, groupBytes: 4096 })
    await db.open()
    await db.put('before', Buffer.of(1), { sync: true })
    disk.delay = () => new Promise((resolve) => setImmediate(resolve))
    let writes = 0
    disk.fault = (_, op) => (op === 'write' && ++writes === 2 ? new Error('EIO') : undefined)
    const chain: BatchChain = {}
    const other: BatchChain = {}
    const outcomes: string[] = []
    const batch = async (key: string, own: BatchChain, size = 900) => {
      const done = db.batchBytes(put(key, size), { sync: true, chain: own })
      done.then(
        () => outcomes.push(`${key} durable`),
        ({ code, definite }) => outcomes.push(`${key} ${code} ${definite}`),
      )
      await new Promise((resolve) => setImmediate(resolve))
      return done.catch(() => {})
    }
    // The first is being written. The large ones have a record each.
    await Promise.all([
      batch('a', chain),
      batch('b', chain, 5000),
      batch('c', chain, 5000),
      batch('d', other),
      batch('e', chain, 10),
    ])
    expect(outcomes.sort()).toEqual([
      'a durable',
      'b ATOLL_STORAGE false',
      'c ATOLL_STORAGE true',
      'd durable',
      'e ATOLL_STORAGE true',
    ])
    await batch('f', chain)
    expect(outcomes.at(-1)).toBe('f ATOLL_STORAGE true')
    await batch('g', {})
    expect(await db.keys().all()).toEqual(['a', 'before', 'd', 'g'])
    await db.close()
  })

  test('fail behind one that was refused', async () => {
    const db = openOn(new SimDisk(), { maxBatchBytes: 10_000 })
    await db.open()
    const chain: BatchChain = {}
    const outcomes = await Promise.allSettled([
      db.batchBytes(put('a', 900), { sync: true, chain }),
      db.batchBytes(put('b', 20_000), { sync: true, chain }),
      db.batchBytes(put('c', 900), { sync: true, chain }),
    ])
    expect(outcomes).toMatchObject([
      { status: 'fulfilled' },
      { reason: { code: 'ATOLL_TOO_LARGE' } },
      { reason: { code: 'ATOLL_STORAGE', definite: true } },
    ])
    expect(await db.keys().all()).toEqual(['a'])
    await db.close()
  })
})

describe('a slow disk', () => {
  test('makes batches share a sync', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    await db.open()
    disk.delay = () => new Promise((resolve) => setTimeout(resolve, 1))
    const before = disk.trace.filter(({ op }) => op === 'sync').length
    await Promise.all(Array.from({ length: 50 }, (_, n) => db.put(`k${n}`, Buffer.alloc(20), { sync: true })))
    expect(disk.trace.filter(({ op }) => op === 'sync').length - before).toBeLessThanOrEqual(2)
    await db.close()
  })
})

describe('bit rot', () => {
  test('of any byte of the log is an error or unseen, and never wrong bytes', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    for (const [n, size] of [200, 400, 5000, 400, 70_0].entries()) {
      await db.put(`k${n}`, Buffer.alloc(size, n + 1), { sync: true })
    }
    const expected = await contents(db)
    const name = [...disk.image.files.keys()].find((file) => file.endsWith('.segment')) ?? ''
    const bytes = disk.image.files.get(name) ?? new Uint8Array(0)
    let failures = 0
    for (let at = 4096; at < 12_000; at += 3) {
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
      for (const [key, value] of expected) failures += await readsRightOrFails(db, key, value)
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
    }
    expect(failures).toBeGreaterThan(2000)
    await db.close()
  })

  test('of a record that was durable keeps the log from opening, and is named', async () => {
    const disk = await crashed((db) =>
      [0, 1, 2, 3].map((n) => db.put(`k${n}`, Buffer.alloc(50, n), { sync: true })),
    )
    flip(disk, 4096 + 60)
    const refused = openOn(new SimDisk(disk.image)).open()
    await expect(refused).rejects.toMatchObject({ cause: { code: 'ATOLL_CORRUPT', details: { slot: 0 } } })
    flip(disk, 4096 + 60)
    const db = openOn(new SimDisk(disk.image))
    expect([...(await contents(db)).keys()]).toEqual(['k0', 'k1', 'k2', 'k3'])
    await db.close()
  })

  test('of a large value that was durable costs that value alone', async () => {
    const disk = await crashed((db) =>
      [0, 1, 2].map((n) => db.put(`k${n}`, Buffer.alloc(900, n + 1), { sync: true })),
    )
    flip(disk, 4096 + 500)
    const db = openOn(new SimDisk(disk.image))
    await expect(db.get('k0')).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
    expect(await db.get('k1')).toEqual(Buffer.alloc(900, 2))
    expect(await db.get('k2')).toEqual(Buffer.alloc(900, 3))
    await db.close()
  })
})

async function readsRightOrFails(db: Db, key: string, expected: string): Promise<number> {
  try {
    const value = await db.get(key)
    expect(Buffer.from(value ?? '').toString('latin1')).toBe(expected)
    return 0
  } catch (error) {
    expect(error).toMatchObject({ code: 'ATOLL_CORRUPT' })
    return 1
  }
}

/** Writes one after the other, and what the disk holds when the process is killed then. */
async function crashed(puts: (db: Db) => Promise<void>[]): Promise<SimDisk> {
  const disk = new SimDisk(emptyImage())
  const db = openOn(disk)
  await db.open()
  disk.delay = () => new Promise(setImmediate)
  for (const put of await sequence(puts, db)) await put
  // What is still on its way to the inner database could not be told from a torn end of the log.
  await db.keys().all()
  const left = new SimDisk(copyOf(disk.image))
  await db.close()
  return left
}

function copyOf({ files, inner }: Image): Image {
  return { files: new Map([...files].map(([name, bytes]) => [name, bytes.slice()])), inner: new Map(inner) }
}

async function sequence(puts: (db: Db) => Promise<void>[], db: Db): Promise<Promise<void>[]> {
  const all = puts(db)
  await Promise.all(all)
  return all
}

function flip(disk: SimDisk, at: number): void {
  const bytes = disk.image.files.get('00000000.segment')
  if (bytes !== undefined) bytes[at] = (bytes[at] ?? 0) ^ 1
}
