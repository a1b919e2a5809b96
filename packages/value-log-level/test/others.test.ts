import { describe, expect, test } from 'vitest'
import { nodeRuntime, type ValueLogRuntime } from '../src/index.ts'
import { SimDisk } from './sim-disk.ts'
import { openOn } from './workload.ts'

const KiB = 1024
const VALUES = 256
const EVERY_MS = 10
const value = (n: number) => Buffer.alloc(4 * KiB, `value ${n};`)

/** What somebody does now and then, and has an answer to before the next look. */
type Use = (db: ReturnType<typeof openOn>, n: number) => Promise<unknown>

/** Compacts a half of `VALUES` away, at 128 KiB in a second, beside what others do every 10 ms: how long it took. */
async function compactedInMs(use: Use | undefined): Promise<number> {
  const real = nodeRuntime()
  let nowMs = 0
  const sleep = async (ms: number) => {
    const until = nowMs + ms
    // What was moved is synced before anybody comes: the log is at rest whenever it is looked.
    await new Promise((resolve) => setTimeout(resolve, 2))
    while (nowMs + EVERY_MS <= until) {
      nowMs += EVERY_MS
      await use?.(db, nowMs)
    }
    nowMs = until
  }
  const clock: ValueLogRuntime['clock'] = { ...real.clock, sleep, monotonicMs: () => nowMs }
  const options = { segmentBytes: 256 * KiB, compactAtLiveShare: 0, compactBytesPerSecond: 128 * KiB }
  const db = openOn(new SimDisk(), options, { ...real, clock })
  for (let n = 0; n < VALUES; n++) await db.put(`k${n}`, value(n), { sync: true })
  for (let n = 0; n < VALUES; n += 2) await db.del(`k${n}`, { sync: true })
  await db.keys({ limit: 1 }).all()
  // Nobody has done anything for long.
  nowMs += 60_000
  const startMs = nowMs
  await db.compact()
  const tookMs = nowMs - startMs
  await db.close()
  return tookMs
}

describe('compaction leaves the disk to others', () => {
  test.each<[string, Use]>([
    ['write', (db, n) => db.put('other', Buffer.from(`${n}`), { sync: true })],
    ['read what lies in the log', (db) => db.get('k1')],
  ])('who %s every 10 ms, though each of them waits for a moment only', async (_, use) => {
    const aloneMs = await compactedInMs(undefined)
    // Half a MiB at 128 KiB in a second, and the first piece slowly: it is not known when those before were there.
    expect(aloneMs).toBeGreaterThan(3000)
    expect(aloneMs).toBeLessThan(8000)
    expect(await compactedInMs(use)).toBeGreaterThan(50_000)
  })
})
