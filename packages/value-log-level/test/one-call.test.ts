import { constants } from 'node:fs'
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openAt } from './disk-place.ts'
import { held } from './held.ts'
import { crashImage, type DiskOp, drawFrom, emptyImage, SimDisk } from './sim-disk.ts'
import { contents, openOn } from './workload.ts'

const ROOMY = {
  segmentBytes: 4 * 1024 * 1024,
  groupBytes: 4 * 1024 * 1024,
  checkpointBytes: 64 * 1024 * 1024,
}
const durably = () => new SimDisk(emptyImage(), { writesDurably: true })
const value = (bytes: number, fill = 1) => Buffer.alloc(bytes, fill)
const isInOneCall = (op: DiskOp) => op.op === 'sync' && op.only !== undefined
const namesOf = (trace: readonly DiskOp[]) =>
  trace.map((op) => (isInOneCall(op) ? 'sync of it' : op.op)).filter((name) => name !== 'inner')

/** What a power cut leaves now, if nothing survives that was not synced. */
async function afterPowerCut(disk: SimDisk): Promise<string[]> {
  const left = openOn(new SimDisk(crashImage(emptyImage(), disk.trace, () => 'lost', drawFrom(1))), ROOMY)
  const keys = [...(await contents(left)).keys()]
  await left.close()
  return keys
}

describe('a small write that somebody waits for', () => {
  test('is written and synced by one call, and lost by no power cut', async () => {
    const disk = durably()
    const db = openOn(disk, ROOMY)
    await db.open()
    const from = disk.trace.length
    await Promise.all(['a', 'b', 'c'].map((key, n) => db.put(key, value(5000, n), { sync: true })))
    await db.put('d', value(10), { sync: true })
    expect(namesOf(disk.trace.slice(from))).toEqual(['write', 'sync of it', 'write', 'sync of it'])
    expect(await afterPowerCut(disk)).toEqual(['a', 'b', 'c', 'd'])
    await db.close()
  })

  test('takes the batches of the same record along that wait for nothing', async () => {
    const disk = durably()
    const db = openOn(disk, ROOMY)
    await db.open()
    await Promise.all([
      db.put('a', value(900)),
      db.put('b', value(900), { sync: true }),
      db.put('c', value(900)),
    ])
    expect(await afterPowerCut(disk)).toEqual(['a', 'b', 'c'])
    expect(Buffer.from((await db.get('c')) ?? '')).toEqual(value(900))
    await db.close()
  })

  test('makes what was written before it durable, too', async () => {
    const disk = durably()
    const db = openOn(disk, { ...ROOMY, flushDelayMs: 60_000 })
    await db.open()
    const from = disk.trace.length
    await db.put('before', value(900))
    await db.put('after', value(900), { sync: true })
    expect(namesOf(disk.trace.slice(from))).toEqual(['write', 'write', 'sync'])
    expect(await afterPowerCut(disk)).toEqual(['after', 'before'])
    await db.close()
  })

  test('does not go before a sync that is under way', async () => {
    const disk = durably()
    const db = openOn(disk, { ...ROOMY, flushDelayMs: 60_000 })
    await db.open()
    const sync = held()
    disk.delay = (op) => (op === 'sync' ? sync.hold() : Promise.resolve())
    const large = db.put('large', value(300_000), { sync: true })
    await sync.reached
    let isDone = false
    const small = db.put('small', value(900), { sync: true }).then(() => {
      isDone = true
    })
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    expect(isDone).toBe(false)
    sync.letGo()
    await Promise.all([large, small])
    expect(disk.trace.some(isInOneCall)).toBe(false)
    await db.close()
  })

  test('is written first and synced then where it is large, or comes behind a segment that was left', async () => {
    const disk = durably()
    const db = openOn(disk, { ...ROOMY, segmentBytes: 256 * 1024 })
    await db.open()
    const counts: number[] = []
    // The third needs another segment, and with it the end of the one before is synced.
    for (const [n, bytes] of [100_000, 100_000, 100_000, 100_000, 200_000].entries()) {
      await db.put(`k${n}`, value(bytes, n), { sync: true })
      counts.push(disk.trace.filter(isInOneCall).length)
    }
    expect(counts).toEqual([1, 2, 2, 3, 3])
    expect(await afterPowerCut(disk)).toEqual(['k0', 'k1', 'k2', 'k3', 'k4'])
    await db.close()
  })
})

test('a file that is being written in one call is not closed because others are read', async () => {
  const disk = durably()
  const db = openOn(disk, { ...ROOMY, segmentBytes: 64 * 1024, maxOpenFiles: 4 })
  await db.open()
  for (let n = 0; n < 24; n++) await db.put(`k${n}`, value(20_000, n), { sync: true })
  const write = held()
  disk.delay = (op) => (op === 'write' ? write.hold() : Promise.resolve())
  const last = db.put('last', value(900), { sync: true })
  await write.reached
  for (let n = 0; n < 24; n++) expect(Buffer.from((await db.get(`k${n}`)) ?? '')).toEqual(value(20_000, n))
  write.letGo()
  await last
  expect(disk.misused).toEqual([])
  expect(await afterPowerCut(disk)).toContain('last')
  await db.close()
  expect(disk.misused).toEqual([])
})

test.each([true, false])(
  'what lies behind a segment of which no record could be written is lost by no power cut (one call: %s)',
  async (writesDurably) => {
    const disk = new SimDisk(emptyImage(), { writesDurably })
    const db = openOn(disk, { ...ROOMY, segmentBytes: 256 * 1024 })
    await db.open()
    for (const key of ['a', 'b']) await db.put(key, value(100_000), { sync: true })
    // The end of the first segment and the head of the next one are written, and the record behind it is not.
    const names = new Set(disk.image.files.keys())
    let written = 0
    disk.fault = (_, op, name) => {
      if (op !== 'write' || names.has(name) || ++written === 1) return undefined
      return Object.assign(new Error('full'), { code: 'ENOSPC' })
    }
    await expect(db.put('lost', value(100_000), { sync: true })).rejects.toMatchObject({
      code: 'ATOLL_DISK_FULL',
    })
    disk.fault = () => undefined
    // It needs a segment of its own.
    await db.put('c', value(300_000), { sync: true })
    expect(await afterPowerCut(disk)).toEqual(['a', 'b', 'c'])
    await db.close()
  },
)

describe('where writing and syncing in one call fails', () => {
  const full = () => Object.assign(new Error('full'), { code: 'ENOSPC' })

  test('for want of room, it costs the batches of that record', async () => {
    const disk = durably()
    const db = openOn(disk, ROOMY)
    await db.put('before', value(900), { sync: true })
    disk.fault = (_, op) => (op === 'write' ? full() : undefined)
    await expect(db.put('lost', value(900), { sync: true })).rejects.toMatchObject({
      code: 'ATOLL_DISK_FULL',
    })
    disk.fault = () => undefined
    await db.put('after', value(900), { sync: true })
    expect(await afterPowerCut(disk)).toEqual(['after', 'before'])
    await db.close()
  })

  test('by the sync, nothing is acknowledged, nor written behind it', async () => {
    const disk = durably()
    const db = openOn(disk, ROOMY)
    await db.put('before', value(900), { sync: true })
    disk.fault = (_, op) => (op === 'sync' ? new Error('EIO') : undefined)
    await expect(db.put('lost', value(900), { sync: true })).rejects.toMatchObject({
      code: 'ATOLL_STORAGE',
      definite: false,
    })
    disk.fault = () => undefined
    await expect(db.put('later', value(10), { sync: true })).rejects.toMatchObject({ code: 'ATOLL_STORAGE' })
    expect(await afterPowerCut(disk)).toEqual(['before'])
    await db.close()
  })

  test('because no file can be opened for it, a sync follows each write', async () => {
    const disk = durably()
    const db = openOn(disk, ROOMY)
    await db.open()
    disk.fault = (_, op) => (op === 'open' ? new Error('EMFILE') : undefined)
    for (const key of ['a', 'b']) await db.put(key, value(900), { sync: true })
    expect(disk.trace.some(isInOneCall)).toBe(false)
    expect(await afterPowerCut(disk)).toEqual(['a', 'b'])
    await db.close()
  })
})

/** By what flags the segments of a directory are open in this process. */
async function flagsOfOpen(directory: string): Promise<number[]> {
  const flags: number[] = []
  for (const fd of await readdir('/proc/self/fd')) {
    const name = await readlink(`/proc/self/fd/${fd}`).catch(() => '')
    if (!name.startsWith(directory) || !name.endsWith('.segment')) continue
    const info = await readFile(`/proc/self/fdinfo/${fd}`, 'utf8')
    flags.push(Number.parseInt(/^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? '0', 8))
  }
  return flags
}

test.skipIf(process.platform !== 'linux')(
  'on a disk, one file is open with O_DSYNC while others are written, and none when it is closed',
  async () => {
    const place = await mkdtemp(join(tmpdir(), 'atoll-one-call-'))
    const db = openAt(place)
    const durable = async () =>
      (await flagsOfOpen(place)).filter((flags) => (flags & constants.O_DSYNC) !== 0)
    for (let n = 0; n < 60; n++) {
      await db.put(`k${n}`, value(5000, n), { sync: true })
      if (n % 20 === 0) expect(await durable()).toHaveLength(1)
    }
    expect(db.usage().segments).toBeGreaterThan(3)
    for (let n = 0; n < 60; n++) expect(Buffer.from((await db.get(`k${n}`)) ?? '')).toEqual(value(5000, n))
    await db.close()
    expect(await flagsOfOpen(place)).toEqual([])
    await rm(place, { recursive: true })
  },
)
