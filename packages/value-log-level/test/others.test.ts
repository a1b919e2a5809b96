import { createMetrics } from '@atoll/core'
import { describe, expect, test, vi } from 'vitest'
import { nodeRuntime, type ValueLogRuntime } from '../src/index.ts'
import { SimDisk } from './sim-disk.ts'
import { openOn } from './workload.ts'

const KiB = 1024
const VALUES = 256
const EVERY_MS = 10
/** So many of them are full, and half of each goes. */
const SEGMENTS = 3
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
  const metrics = createMetrics()
  const options = { segmentBytes: 256 * KiB, compactBytesPerSecond: 128 * KiB }
  const db = openOn(new SimDisk(), options, { ...real, clock, metrics })
  for (let n = 0; n < VALUES; n++) await db.put(`k${n}`, value(n), { sync: true })
  const gone = Array.from({ length: VALUES / 2 }, (_, n) => ({ type: 'del' as const, key: `k${2 * n}` }))
  const startMs = nowMs
  await db.batch(gone, { sync: true })
  const compacted = () => metrics.value('atoll_value_log_compacted_segments_total') ?? 0
  await vi.waitFor(() => expect(compacted()).toBeGreaterThanOrEqual(SEGMENTS), { timeout: 20_000 })
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
    // Three times 128 KiB at 128 KiB in a second, and the first slowly: it is not known when those before were there.
    expect(aloneMs).toBeGreaterThan(2500)
    expect(aloneMs).toBeLessThan(25_000)
    expect(await compactedInMs(use)).toBeGreaterThan(40_000)
  })
})
