import { KiB } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { handWound } from './hand-wound.ts'
import { SimDisk } from './sim-disk.ts'
import { contents, type Db, openOn } from './workload.ts'

const VALUES = 300
const VALUE_BYTES = 4000
const SEGMENT = 64 * KiB
/** What is kept for deletes, and how much of it stays whatever compaction needs. */
const SPARE = 512 * KiB
const LEFT = SPARE / 4
/** Two of three values of a segment are in use. */
const LIVE_OF_SEGMENT = (SEGMENT * 2) / 3

const value = (n: number) => Buffer.alloc(VALUE_BYTES, `value ${n};`)
const isInUse = (n: number) => n >= 15 && n % 3 !== 0

/** What the files take of a disk that gives room as it is written. */
function writtenOn(disk: SimDisk): number {
  let sum = 0
  for (const [name, bytes] of disk.image.files)
    if (name.endsWith('.segment')) sum += bytes.findLastIndex((byte) => byte !== 0) + 1
  return sum
}

/**
 * A log that compacts only what it is told to, of which a third is out of use everywhere, and the first segment as a
 * whole.
 */
async function thinnedOut() {
  const disk = new SimDisk()
  const { runtime, look } = handWound()
  const sizes = { spareBytes: SPARE, reserveBytes: 4 * SEGMENT, checkpointBytes: 1e9, compactAtLiveShare: 0 }
  const db = openOn(disk, sizes, runtime)
  for (let n = 0; n < VALUES; n++) await db.put(`k${n}`, value(n), { sync: true })
  const room = { bytes: Number.POSITIVE_INFINITY, leastBytes: Number.POSITIVE_INFINITY }
  Object.defineProperty(disk, 'freeBytes', {
    get: () => {
      const free = Math.max(0, room.bytes - writtenOn(disk))
      room.leastBytes = Math.min(room.leastBytes, free)
      return free
    },
  })
  for (let n = 0; n < VALUES; n++) if (!isInUse(n)) await db.del(`k${n}`, { sync: true })
  // An iterator waits until all is applied.
  await db.keys({ limit: 1 }).all()
  const leave = (freeBytes: number) => {
    room.bytes = writtenOn(disk) + freeBytes
    room.leastBytes = freeBytes
  }
  return { disk, db, runtime, look, room, leave }
}

async function expectAll(db: Db): Promise<void> {
  const found = await contents(db)
  const numbers = Array.from({ length: VALUES }, (_, n) => n)
  const expected = numbers.filter(isInUse).map((n) => [`k${n}`, value(n).toString('latin1')] as const)
  expect(found).toEqual(new Map(expected))
}

describe('compaction on a disk with little room', () => {
  test('gives back what it has emptied before it moves more, and keeps no free segments', async () => {
    const { disk, db, room, leave } = await thinnedOut()
    const before = writtenOn(disk)
    // For the values of two segments, not of three.
    leave(LEFT + 2.5 * LIVE_OF_SEGMENT)
    await db.compact()
    expect(room.leastBytes).toBeGreaterThanOrEqual(LEFT)
    expect(writtenOn(disk)).toBeLessThan(0.75 * before)
    expect(db.usage().freeSegments).toBe(0)
    await expectAll(db)
    await db.close()
  })

  test('moves nothing where that would take what deletes need, and says so', async () => {
    const { disk, db, runtime, leave } = await thinnedOut()
    const files = disk.image.files.size
    // Also with what the first segment gives back that is not enough for the values of another one.
    leave(LEFT + LIVE_OF_SEGMENT / 2 - SEGMENT)
    await expect(db.compact()).rejects.toMatchObject({
      code: 'ATOLL_DISK_FULL',
      definite: true,
      details: { reason: 'reserve' },
    })
    expect(runtime.metrics.value('atoll_value_log_compacted_bytes_total')).toBe(0)
    // What holds nothing needs no room.
    expect(disk.image.files.size).toBeLessThan(files)
    await expectAll(db)
    leave(4 * SEGMENT)
    await db.compact()
    expect(runtime.metrics.value('atoll_value_log_compacted_bytes_total')).toBeGreaterThan(0)
    await expectAll(db)
    await db.close()
  })
})
