import { describe, expect, test } from 'vitest'
import { nodeRuntime } from '../src/index.ts'
import { held } from './held.ts'
import { SimDisk } from './sim-disk.ts'
import { contents, openOn } from './workload.ts'

const SEGMENT_BYTES = 64 * 1024
const VALUE_BYTES = 4000
/** So many values fit into the first segment, and not one more. */
const FITTING = 15
const [FIRST, SECOND] = ['00000000.segment', '00000001.segment']
const OPTIONS = { segmentBytes: SEGMENT_BYTES, preallocateBytes: 2 * SEGMENT_BYTES, checkpointBytes: 1e9 }

const value = (n: number) => Buffer.alloc(VALUE_BYTES, n)

/** A runtime that keeps what is told as an error. */
function listening() {
  const errors: string[] = []
  const runtime = nodeRuntime()
  const log = { ...runtime.log, error: (_: unknown, message?: string) => void errors.push(`${message}`) }
  return { runtime: { ...runtime, log }, errors }
}

describe('a segment that was begun, and of which nothing is applied when the log is closed', () => {
  test('is free if its first record has failed', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, OPTIONS)
    for (let n = 0; n < FITTING; n++) await db.put(`k${n}`, value(n), { sync: true })
    disk.fault = (_, op, name) => (op === 'write' && name === SECOND ? new Error('EIO') : undefined)
    await expect(db.put('failed', value(1), { sync: true })).rejects.toMatchObject({ code: 'ATOLL_STORAGE' })
    disk.fault = () => undefined
    await db.close()
    const { runtime, errors } = listening()
    const next = openOn(disk, OPTIONS, runtime)
    await next.open()
    expect(next.usage()).toMatchObject({ segments: 3, freeSegments: 2 })
    await next.compact()
    expect(errors).toEqual([])
    await next.put('later', value(1), { sync: true })
    expect((await contents(next)).size).toBe(FITTING + 1)
    await next.close()
  })

  test.each([
    ['the seal', 0],
    ['the last record and the seal', VALUE_BYTES],
  ])('proves that %s of the one before, which the disk has lost, was durable', async (_, leastBytes) => {
    const disk = new SimDisk()
    const db = openOn(disk, OPTIONS)
    for (let n = 0; n < FITTING - 1; n++) await db.put(`k${n}`, value(n), { sync: true })
    await db.keys().all()
    const inner = held()
    disk.fault = (_, op) => (op === 'inner' ? new Error('EIO') : undefined)
    disk.delay = (op) => (op === 'inner' ? inner.hold() : Promise.resolve())
    for (let n = FITTING - 1; n < FITTING + 2; n++) await db.put(`k${n}`, value(n), { sync: true })
    await inner.reached
    disk.fault = () => undefined
    inner.letGo()
    await db.close()
    const whole = { files: new Map(disk.image.files), inner: new Map(disk.image.inner) }
    const lost = disk.trace.findLast(
      (op) => op.op === 'write' && op.name === FIRST && op.bytes.length > leastBytes,
    )
    if (lost?.op !== 'write') throw new Error('nothing was written')
    const left = disk.image.files.get(FIRST)?.slice().fill(0, lost.position)
    disk.image.files.set(FIRST, left ?? lost.bytes)
    await expect(openOn(disk, OPTIONS).open()).rejects.toMatchObject({ cause: { code: 'ATOLL_CORRUPT' } })
    const next = openOn(new SimDisk(whole), OPTIONS)
    await next.open()
    expect((await contents(next)).size).toBe(FITTING + 2)
    await next.close()
  })
})
