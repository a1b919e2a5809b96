import { isDiskFull } from '@atoll/core'
import { expect, test } from 'vitest'
import { nodeRuntime, type ValueLogRuntime } from '../src/index.ts'
import { SimDisk } from './sim-disk.ts'
import { contents, type Db, openOn } from './workload.ts'

/** As LevelDB says it. */
const full = () => new Error('IO error: /data/index/000012.log: No space left on device')

interface Patience {
  readonly runtime: ValueLogRuntime
  /** Lets the next attempt to open again be made, and waits for it. */
  readonly attempt: () => Promise<void>
}

/** Short timers run; the long ones, of attempts, wait to be told. */
function patient(): Patience {
  const runtime = nodeRuntime()
  const waiting: (() => void)[] = []
  const timer: ValueLogRuntime['clock']['timer'] = (delayMs, fire) => {
    if (delayMs < 200) return runtime.clock.timer(delayMs, fire)
    waiting.push(fire)
    return { cancel: () => {} }
  }
  const attempt = async () => {
    const fire = waiting.shift()
    expect(fire, 'an attempt is due').toBeDefined()
    fire?.()
    for (let turn = 0; turn < 200; turn++) await new Promise(setImmediate)
  }
  return { runtime: { ...runtime, clock: { ...runtime.clock, timer } }, attempt }
}

async function fails(writing: Promise<void>): Promise<void> {
  const error = await writing.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({ code: 'ATOLL_DISK_FULL', transient: true, details: { reason: 'ENOSPC' } })
}

test('a disk that fills while the log is applied, and gets room: writes are taken again, and nothing is missing', async () => {
  const disk = new SimDisk()
  const { runtime, attempt } = patient()
  const db = openOn(disk, { idleMs: 100 }, runtime)
  await db.put('before', Buffer.alloc(1000, 1), { sync: true })
  await db.keys().all()
  disk.fault = (_, op) => (op === 'inner' ? full() : undefined)
  disk.freeBytes = 0
  await db.put('durable', Buffer.alloc(1000, 2), { sync: true })
  await expect(db.keys().all()).rejects.toMatchObject({ code: 'ATOLL_DISK_FULL' })
  await fails(db.put('refused', Buffer.alloc(10), { sync: true }))
  expect(isDiskFull(db.failure)).toBe(true)
  await attempt()
  expect(await db.get('durable')).toEqual(Buffer.alloc(1000, 2))
  await fails(db.put('refused', Buffer.alloc(10), { sync: true }))
  disk.freeBytes = 1e9
  await attempt()
  expect(db.failure, 'there is room, but the disk still fails').toBeDefined()
  disk.fault = () => undefined
  await attempt()
  expect(db.failure).toBeUndefined()
  await db.put('after', Buffer.alloc(10), { sync: true })
  expect([...(await contents(db)).keys()]).toEqual(['after', 'before', 'durable'])
  await db.close()
  await db.open()
  expect([...(await contents(db)).keys()]).toEqual(['after', 'before', 'durable'])
  await db.close()
})

test('while it waits to be opened again, reads fail for the moment, and a close is a close', async () => {
  const disk = new SimDisk()
  const { runtime, attempt } = patient()
  const db = openOn(disk, { idleMs: 100 }, runtime)
  await db.put('before', Buffer.alloc(1000, 1), { sync: true })
  disk.fault = (_, op) => (op === 'inner' ? full() : undefined)
  await db.put('durable', Buffer.alloc(1000, 2), { sync: true })
  await expect(db.keys().all()).rejects.toMatchObject({ code: 'ATOLL_DISK_FULL' })
  await attempt()
  await expect(db.get('before')).rejects.toMatchObject({ code: 'ATOLL_STORAGE', transient: true })
  await db.close()
  disk.fault = () => undefined
  await db.open()
  expect([...(await contents(db)).keys()]).toEqual(['before', 'durable'])
  await db.close()
})

test('says when the room falls below what is kept for deletes, and takes them down to the last', async () => {
  const disk = new SimDisk()
  const db = openOn(disk, { spareBytes: 1e6 })
  await db.put('k', Buffer.alloc(1000), { sync: true })
  expect(await roomOf(db)).toBe(true)
  disk.freeBytes = 999_999
  expect(await roomOf(db)).toBe(false)
  // In small steps through several segments.
  for (let n = 0; n < 300; n++) await db.del(`k ${n}`, { sync: true })
  disk.freeBytes = 1e6
  expect(await roomOf(db)).toBe(true)
  await db.close()
})

/** What it says once it has looked again. */
async function roomOf(db: Db): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 210))
  db.hasRoom()
  await new Promise(setImmediate)
  return db.hasRoom()
}

test('a write that fails costs its batches alone, whatever the disk says', async () => {
  const disk = new SimDisk()
  const db = openOn(disk)
  await db.put('before', Buffer.alloc(1000, 1), { sync: true })
  disk.fault = (_, op) => (op === 'write' ? new Error('EIO: i/o error') : undefined)
  await expect(db.put('lost', Buffer.alloc(1000), { sync: true })).rejects.toMatchObject({
    code: 'ATOLL_STORAGE',
  })
  expect(db.failure).toMatchObject({ code: 'ATOLL_STORAGE' })
  disk.fault = () => undefined
  await db.put('after', Buffer.alloc(1000, 2), { sync: true })
  expect(db.failure).toBeUndefined()
  await db.close()
  await db.open()
  expect([...(await contents(db)).keys()]).toEqual(['after', 'before'])
  await db.close()
})
