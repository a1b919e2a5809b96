import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RECORD_ALIGNMENT } from '../src/record.ts'
import { encodeSeal } from '../src/record-encoder.ts'
import { FIRST_RECORD_OFFSET, segmentName } from '../src/segment-file.ts'
import { emptyImage, type Image, SimDisk } from './sim-disk.ts'
import { contents, openOn } from './workload.ts'

/** Bytes that recovery must not take for records: whatever a user may have stored. */
interface Forgery {
  readonly name: string
  readonly make: (disk: SimDisk) => Promise<Uint8Array>
}

const VALUE_BYTES = 40_000
const FAR = 2 ** 40
const HEAD_BYTES = 56
/** Every segment gets one of the values. */
const SEGMENTS = 3

/** A head of the first version of the format, which knew no salt: anybody could make one. */
function headOfVersion1(synced: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32LE(0x474c5641, 0)
  head.writeUIntLE(synced + 1, 8, 6)
  head[14] = 2
  head[15] = 1
  head.writeUIntLE(FAR, 16, 6)
  head.writeUIntLE(synced, 24, 6)
  head.writeUInt32LE(8, 32)
  head.writeUInt32LE(crc32(head.subarray(8)), 4)
  return head
}

function sealOf(salt: { low: number; high: number }, offset: number): Uint8Array {
  return encodeSeal(crc32, 0, { slot: 0, offset, sequence: FAR + 1, synced: FAR, salt })
}

function filledWith(head: (at: number) => Uint8Array): Uint8Array {
  const value = Buffer.alloc(VALUE_BYTES)
  for (let at = 0; at + HEAD_BYTES <= VALUE_BYTES; at += HEAD_BYTES) value.set(head(at), at)
  return value
}

function latest(segments: Uint8Array): Uint8Array {
  const end = Buffer.from(segments).lastIndexOf('k399') + 200
  return segments.subarray(end - VALUE_BYTES, end)
}

async function segmentsOf(disk: SimDisk): Promise<Uint8Array> {
  const segments = [...disk.image.files].filter(([name]) => name.endsWith('.segment'))
  return Buffer.concat(segments.map(([, bytes]) => bytes.subarray(FIRST_RECORD_OFFSET)))
}

/** Older than the log that will hold its bytes: by openings, and by records. */
async function anotherLog(): Promise<SimDisk> {
  const other = new SimDisk()
  for (let opening = 0; opening < 5; opening++) {
    const db = openOn(other)
    for (let n = 0; n < 400; n++) await db.put(`k${n}`, Buffer.alloc(100, n), { sync: true })
    await db.close()
  }
  return other
}

const forgeries: readonly Forgery[] = [
  { name: 'heads of the first version', make: async () => filledWith(() => headOfVersion1(FAR)) },
  {
    name: 'heads with a salt of nothing',
    make: async () => filledWith((at) => sealOf({ low: 0, high: 0 }, at)),
  },
  {
    name: 'heads with a salt that was guessed',
    make: async () => filledWith((at) => sealOf({ low: at * 0x9e3779b1, high: at * 0x85ebca6b }, at)),
  },
  {
    name: "another log's segments",
    make: async () => latest(await segmentsOf(await anotherLog())),
  },
  {
    name: "this log's own segments",
    make: async (disk) => (await segmentsOf(disk)).subarray(0, VALUE_BYTES),
  },
]

interface Crash {
  readonly image: Image
  readonly kept: readonly string[]
}

/**
 * Fills segments with values that hold `forged`, deletes them, and has every free segment written again, from its
 * beginning to the middle of what it held. Each time the power is cut.
 */
async function crashesOver(disk: SimDisk, forged: Uint8Array): Promise<Crash[]> {
  const db = openOn(disk, { reserveBytes: 1e9 })
  for (let n = 0; n < SEGMENTS; n++) await db.put(`forged ${n}`, forged, { sync: true })
  for (let n = 0; n < SEGMENTS; n++) await db.del(`forged ${n}`, { sync: true })
  await db.compact()
  await db.compact()
  const crashes: Crash[] = []
  const kept: string[] = []
  for (let free = db.usage().freeSegments; free > 0; free--) {
    // The last of these is the first in the next segment.
    while (db.usage().freeSegments === free) await db.put('filling', Buffer.alloc(20_000), { sync: true })
    kept.push(`kept ${free}`)
    await db.put(`kept ${free}`, Buffer.alloc(10), { sync: true })
    await db.keys().all()
    crashes.push({ image: copyOf(disk.image), kept: [...kept] })
  }
  await db.close()
  expect(crashes.length).toBeGreaterThanOrEqual(SEGMENTS)
  return crashes
}

function copyOf({ files, inner }: Image): Image {
  return { files: new Map([...files].map(([name, bytes]) => [name, bytes.slice()])), inner: new Map(inner) }
}

/** However the bytes lie: a record starts at a multiple of 8. */
async function expectUnseen(disk: SimDisk, forged: Uint8Array): Promise<void> {
  for (let shift = 0; shift < RECORD_ALIGNMENT; shift++) {
    const shifted = Buffer.concat([Buffer.alloc(shift), forged])
    await opensAfterAll(await crashesOver(new SimDisk(copyOf(disk.image)), shifted))
  }
}

async function opensAfterAll(crashes: readonly Crash[]): Promise<void> {
  for (const { image, kept } of crashes) {
    const db = openOn(new SimDisk(image))
    await db.open()
    const held = await contents(db)
    expect(kept.filter((key) => !held.has(key))).toEqual([])
    await db.put('after', Buffer.alloc(10), { sync: true })
    await db.close()
  }
}

describe('values that look like records of the log', () => {
  test.each(forgeries)('$name: open after a crash as if they were anything else', async ({ make }) => {
    const disk = new SimDisk()
    const forged = await make(await usedBefore(disk))
    expect(forged.length).toBe(VALUE_BYTES)
    await expectUnseen(disk, forged)
  })

  test('records of a later life of this log, from before an older copy of it was put back', async () => {
    const disk = await usedBefore(new SimDisk())
    const copy = copyOf(disk.image)
    await usedBefore(disk)
    await usedBefore(disk)
    const later = (await segmentsOf(disk)).subarray(0, VALUE_BYTES)
    await expectUnseen(new SimDisk(copy), later)
  })

  test('bytes copied from any segments to any place', async () => {
    const other = await segmentsOf(await anotherLog())
    const cuts = fc.record({ from: fc.integer({ min: 0, max: other.length - 1 }), shift: fc.nat(64) })
    await fc.assert(
      fc.asyncProperty(cuts, async ({ from, shift }) => {
        const disk = new SimDisk(emptyImage())
        const turned = Buffer.concat([other.subarray(from), other.subarray(0, from)])
        const forged = Buffer.concat([Buffer.alloc(shift), turned]).subarray(0, VALUE_BYTES)
        await opensAfterAll(await crashesOver(disk, forged))
      }),
      { numRuns: 30 },
    )
  })

  test('a record of another log, at the very place where the next one of this is expected', async () => {
    const [disk, other] = [new SimDisk(), new SimDisk()]
    const [db, otherDb] = [openOn(disk), openOn(other)]
    await db.open()
    await otherDb.put('theirs', Buffer.alloc(100), { sync: true })
    const image = copyOf(disk.image)
    image.files.set(segmentName(0), other.image.files.get(segmentName(0))?.slice() ?? Buffer.of())
    const opened = openOn(new SimDisk(image))
    expect(await contents(opened)).toEqual(new Map())
    for (const each of [opened, db, otherDb]) await each.close()
  })
})

/** Some records, and a clean close. */
async function usedBefore(disk: SimDisk): Promise<SimDisk> {
  const db = openOn(disk)
  await db.open()
  for (let n = 0; n < 300; n++) await db.put(`small ${n}`, Buffer.alloc(90, n), { sync: true })
  for (let n = 0; n < 300; n++) await db.del(`small ${n}`, { sync: true })
  await db.close()
  return disk
}
