import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { afterAll, describe, expect, test } from 'vitest'
import { nodeFiles, nodeRuntime, ValueLogLevel } from '../src/index.ts'
import { openAt } from './disk-place.ts'
import { SimDisk } from './sim-disk.ts'
import { contents, type Db, openOn } from './workload.ts'

const work = mkdtempSync(join(tmpdir(), 'atoll-value-log-directory-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const refusal = (code: string, message: RegExp) => ({
  cause: { code, message: expect.stringMatching(message) },
})

describe('a directory', () => {
  test('of another program is refused and left as it is', async () => {
    const disk = new SimDisk()
    disk.image.files.set('CURRENT', Buffer.from('MANIFEST-000004\n'))
    await expect(openOn(disk).open()).rejects.toMatchObject(refusal('ATOLL_FORMAT', /holds "CURRENT"/))
    expect(disk.trace).toEqual([])
  })

  test('of a newer format is refused and left as it is', async () => {
    const disk = await written()
    const identity = disk.image.files.get('VALUELOG') ?? Buffer.of()
    identity[0] = 3
    const before = disk.trace.length
    await expect(openOn(disk).open()).rejects.toMatchObject(refusal('ATOLL_FORMAT', /version 3/))
    expect(disk.trace.length).toBe(before)
    identity[0] = 2
    await opensWithValue(disk)
  })

  test('with another inner database is refused', async () => {
    const disk = await written()
    const other = await written()
    const mixed = new SimDisk({ files: disk.image.files, inner: other.image.inner })
    await expect(openOn(mixed).open()).rejects.toMatchObject(refusal('ATOLL_FORMAT', /different logs/))
    const empty = new SimDisk({ files: disk.image.files, inner: new Map() })
    await expect(openOn(empty).open()).rejects.toMatchObject(refusal('ATOLL_FORMAT', /index .* is missing/))
    const bare = new SimDisk({ files: new Map(), inner: disk.image.inner })
    await expect(openOn(bare).open()).rejects.toMatchObject(refusal('ATOLL_FORMAT', /points to values/))
    await opensWithValue(disk)
  })

  test('beside an inner database that holds something else is not created', async () => {
    const disk = new SimDisk({ files: new Map(), inner: new Map([['61', Buffer.from('b')]]) })
    await expect(openOn(disk).open()).rejects.toMatchObject(refusal('ATOLL_FORMAT', /another program/))
    expect(disk.trace).toEqual([])
  })

  test('that lacks a segment is refused, and opens when it is back', async () => {
    const disk = await written()
    const segment = disk.image.files.get('00000000.segment') ?? Buffer.of()
    disk.image.files.delete('00000000.segment')
    await expect(openOn(disk).open()).rejects.toMatchObject(refusal('ATOLL_CORRUPT', /segment 0 .*missing/))
    disk.image.files.set('00000000.segment', segment)
    await opensWithValue(disk)
  })

  test('that may not be written is refused with the cause, and opens when it may', async () => {
    const disk = await written()
    disk.fault = (_, op) =>
      ['prepare', 'write', 'whole'].includes(op) ? new Error('EACCES: permission denied') : undefined
    await expect(openOn(disk).open()).rejects.toMatchObject(refusal('ATOLL_STORAGE', /EACCES/))
    disk.fault = () => undefined
    await opensWithValue(disk)
  })

  test('that is in use is refused, also to the same process, until it is closed', async () => {
    const place = join(work, 'locked')
    const first = openAt(place)
    await first.put('k', Buffer.alloc(1000), { sync: true })
    await expect(openAt(place).open()).rejects.toMatchObject({
      cause: { code: 'ATOLL_LOCKED', transient: true },
    })
    await first.close()
    const again = openAt(place)
    await again.open()
    await again.close()
  })

  test('that is in use is refused to every other inner database, and is not touched', async () => {
    const place = join(work, 'other')
    const first = openAt(place)
    await first.put('k', Buffer.alloc(1000), { sync: true })
    const before = readdirSync(join(place, 'values'))
    const parts = { inner: new ClassicLevel(join(work, 'stranger')), files: nodeFiles(join(place, 'values')) }
    const second = new ValueLogLevel(nodeRuntime(), parts)
    await expect(second.open()).rejects.toMatchObject(refusal('ATOLL_FORMAT', /index of .* is missing/))
    expect(readdirSync(join(place, 'values'))).toEqual(before)
    await first.put('l', Buffer.alloc(1000), { sync: true })
    await first.close()
  })

  test('with the lock files of a program before opens, and they are gone', async () => {
    const place = join(work, 'stale')
    const first = openAt(place)
    await first.open()
    await first.close()
    for (const stale of ['{"pid":4194304,"started":"1","token":"t"}', `{"pid":${process.pid}}`, 'x']) {
      writeFileSync(join(place, 'values/LOCK'), stale)
      writeFileSync(join(place, 'values/LOCK.0b5c1c43-7d3b-4f5e-a2d1-5d0f2b8b3c11'), stale)
      const db = openAt(place)
      await db.open()
      await db.close()
    }
    expect(readdirSync(join(place, 'values')).sort()).toEqual(['00000000.segment', 'VALUELOG'])
  })

  test('at the top of a file system of its own may be there before', async () => {
    const place = join(work, 'mounted')
    for (const mount of ['values', 'keys']) mkdirSync(join(place, mount, 'lost+found'), { recursive: true })
    const db = openAt(place)
    await db.put('k', Buffer.alloc(1000), { sync: true })
    await db.close()
    expect(readdirSync(join(place, 'values')).sort()).toEqual(['00000000.segment', 'VALUELOG', 'lost+found'])
  })
})

const KINDS = ['version-1/closed', 'version-1/killed', 'version-2/closed', 'version-2/killed']

describe('a golden directory', () => {
  test.each(KINDS)('%s: opens, takes writes, and opens again after a crash', async (kind) => {
    const place = join(work, 'golden', kind)
    cpSync(join(import.meta.dirname, 'golden', kind), place, { recursive: true })
    unpack(place)
    const db = openAt(place)
    await opensGolden(db)
    // What little is left of the golden segments is moved by itself: no copy can be taken meanwhile.
    await db.compact()
    await db.put('new', Buffer.alloc(500), { sync: true })
    await db.keys().all()
    const crashed = `${place}-crashed`
    cpSync(place, crashed, { recursive: true })
    await db.close()
    for (const again of [place, crashed]) {
      const reopened = openAt(again)
      await opensGolden(reopened)
      expect(await reopened.get('new')).toEqual(Buffer.alloc(500))
      await reopened.close()
    }
  })

  test('of version 1 is a copy that is too old, or too new, beside a half that was opened since', async () => {
    const kind = join(import.meta.dirname, 'golden/version-1/closed')
    const [old, used] = [join(work, 'mixed-old'), join(work, 'mixed-used')]
    for (const place of [old, used]) {
      cpSync(kind, place, { recursive: true })
      unpack(place)
    }
    const db = openAt(used)
    await db.open()
    await db.close()
    for (const [keys, values, message] of [
      [old, used, /index of .* is an older copy/],
      [used, old, /values is an older copy/],
    ] as const) {
      const place = join(work, 'mixed')
      cpSync(join(keys, 'keys'), join(place, 'keys'), { recursive: true })
      cpSync(join(values, 'values'), join(place, 'values'), { recursive: true })
      await expect(openAt(place).open()).rejects.toMatchObject(refusal('ATOLL_FORMAT', message))
      rmSync(place, { recursive: true })
    }
  })
})

async function opensGolden(db: Db): Promise<void> {
  const held = await contents(db)
  held.delete('new')
  expect([...held].map(([key, value]) => [key, value.length, value.slice(0, 6)])).toEqual([
    ['large', 1000, 'large '],
    ['moved', 70_000, 'moved '],
    ['small', 12, 'small '],
  ])
}

/** Golden segments are kept without the zeros behind their last record. */
function unpack(place: string): void {
  const values = join(place, 'values')
  for (const name of readdirSync(values).filter((file) => file.endsWith('.segment'))) {
    const packed = readFileSync(join(values, name))
    const whole = Buffer.alloc(packed.readUIntLE(32, 6))
    packed.copy(whole)
    writeFileSync(join(values, name), whole)
  }
}

async function written(): Promise<SimDisk> {
  const disk = new SimDisk()
  const db = openOn(disk)
  await db.put('k', Buffer.alloc(1000, 9), { sync: true })
  await db.close()
  return disk
}

async function opensWithValue(disk: SimDisk): Promise<void> {
  const db = openOn(disk)
  expect(await db.get('k')).toEqual(Buffer.alloc(1000, 9))
  await db.close()
}
