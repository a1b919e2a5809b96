import { randomFillSync } from 'node:crypto'
import { mkdtemp, open, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { KiB, MiB } from '@atoll/core'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeFiles, nodeRuntime, ValueLogLevel } from '../src/index.ts'
import { segmentName } from '../src/segment-file.ts'

const SYNC = { sync: true }
/** Below the threshold, in place and elsewhere, in one chunk and in several; at and around the borders between these. */
const SIZES = [100, 5 * KiB, 16 * KiB, 16 * KiB + 1, 64 * KiB + 1, 128 * KiB - 1, 128 * KiB, MiB, 3 * MiB + 7]

let place: string
let db: ValueLogLevel<string, Uint8Array>

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'atoll-value-log-'))
  const inner = new ClassicLevel<Uint8Array, Uint8Array>(join(place, 'keys'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  })
  const parts = { inner, files: nodeFiles(join(place, 'values')) }
  db = new ValueLogLevel(nodeRuntime(), parts, { valueEncoding: 'view' })
  await db.open()
})

afterEach(async () => {
  await db.close()
  await rm(place, { recursive: true })
})

function random(length: number): Buffer {
  return randomFillSync(Buffer.allocUnsafe(length))
}

function segmentPath(): string {
  return join(place, 'values', segmentName(0))
}

/** Changes one bit of the first place where the file has these bytes. */
async function flip(bytes: Uint8Array): Promise<void> {
  const file = await open(segmentPath(), 'r+')
  try {
    const whole = await file.readFile()
    const at = whole.indexOf(bytes)
    expect(at).toBeGreaterThan(0)
    await file.write(Uint8Array.of((whole[at] ?? 0) ^ 1), 0, 1, at)
  } finally {
    await file.close()
  }
}

describe('values in a directory', () => {
  test('of every size come back, whole, summed and in part', async () => {
    for (const size of SIZES) {
      const value = random(size)
      const key = `${size}`
      await db.put(key, value, SYNC)
      expect(value.equals((await db.get(key)) ?? Buffer.of())).toBe(true)
      const summed = await db.getSummed(Buffer.from(key))
      expect(value.equals(summed?.value ?? Buffer.of())).toBe(true)
      expect(summed?.crc32).toBe(size < 4 * KiB ? undefined : crc32(value))
      const [start, end] = [Math.floor(size / 10), Math.floor((9 * size) / 10)]
      const part = await db.getRange(key, { start, end })
      expect(value.subarray(start, end).equals(part ?? Buffer.of())).toBe(true)
    }
  })

  test('are found without a promise where nothing has to be waited for, and those that are not there as well', async () => {
    const value = random(8 * KiB)
    await db.put('k', value, SYNC)
    const found = db.findSummed(Buffer.from('k'))
    if (found instanceof Promise || found === undefined) throw new Error('it is not found at once')
    expect(value.equals(found.value)).toBe(true)
    expect(found.crc32).toBe(crc32(value))
    expect(db.findSummed(Buffer.from('other'))).toBeUndefined()
    expect(() => db.findSummed(Object('k'))).toThrow(TypeError)
  })

  test('come back when many are asked for at a time', async () => {
    const values = Array.from({ length: 12 }, () => random(8 * KiB))
    await db.batch(
      values.map((value, n) => ({ type: 'put', key: `${n}`, value })),
      SYNC,
    )
    const asked = Array.from({ length: 240 }, (_, n) => n % values.length)
    const found = await Promise.all(asked.map((n) => db.get(`${n}`)))
    expect(found.every((value, at) => values[asked[at] ?? 0]?.equals(value ?? Buffer.of()))).toBe(true)
  })

  test.each([5 * KiB, 100 * KiB, MiB])('of %i bytes with a flipped bit are an error', async (size) => {
    const value = random(size)
    await db.put('k', value, SYNC)
    await db.put('other', random(size), SYNC)
    expect(value.equals((await db.get('k')) ?? Buffer.of())).toBe(true)
    await flip(value.subarray(size - 50))
    for (const read of [() => db.get('k'), () => db.getSummed(Buffer.from('k')), () => db.getRange('k')])
      await expect(read()).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
    expect(await db.get('other')).toHaveLength(size)
  })

  test.each([5 * KiB, MiB])('of %i bytes are an error if the file ends before them', async (size) => {
    await db.put('k', random(size), SYNC)
    expect(await db.get('k')).toHaveLength(size)
    await truncate(segmentPath(), 4096)
    await expect(db.get('k')).rejects.toMatchObject({ code: 'ATOLL_CORRUPT' })
  })
})
