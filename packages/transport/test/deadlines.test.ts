import { describe, expect, test } from 'vitest'
import { Deadlines, type Expiring } from '../src/deadlines.ts'
import { ManualClock } from './world.ts'

class Item implements Expiring {
  bucket: Set<Expiring> | undefined
  expiredMs: number | undefined
  readonly #clock: ManualClock

  constructor(clock: ManualClock) {
    this.#clock = clock
  }

  expire(): void {
    this.expiredMs = this.#clock.monotonicMs()
  }
}

describe('deadlines', () => {
  test.each([1, 5, 100, 511, 512, 5000, 30_000, 3_600_000])(
    'of %i ms are never early, and late by little',
    async (delayMs) => {
      const clock = new ManualClock()
      const deadlines = new Deadlines(clock)
      for (let step = 0; step < 20; step++) {
        await clock.advance(1.7)
        const item = new Item(clock)
        const startMs = clock.monotonicMs()
        deadlines.add(item, startMs, delayMs)
        await clock.advance(delayMs * 1.1 + 5)
        const lateMs = (item.expiredMs ?? Number.NaN) - startMs - delayMs
        expect(lateMs).toBeGreaterThanOrEqual(0)
        expect(lateMs).toBeLessThanOrEqual(Math.max(4, delayMs / 64))
      }
    },
  )

  test('share timers, and forget what was removed', async () => {
    const clock = new ManualClock()
    const deadlines = new Deadlines(clock)
    const items = Array.from({ length: 1000 }, () => new Item(clock))
    for (const item of items) deadlines.add(item, clock.monotonicMs(), 5000)
    expect(clock.pending).toBe(1)
    for (const item of items.slice(1)) deadlines.remove(item)
    await clock.advance(6000)
    expect(items.filter((item) => item.expiredMs !== undefined)).toEqual([items[0]])
  })

  test('may be set again while they expire, and cleared for good', async () => {
    const clock = new ManualClock()
    const deadlines = new Deadlines(clock)
    let fired = 0
    const item: Expiring = {
      bucket: undefined,
      expire: () => {
        fired += 1
        deadlines.add(item, clock.monotonicMs(), 10)
      },
    }
    item.expire()
    await clock.advance(100)
    expect(fired).toBeGreaterThan(5)
    deadlines.clear()
    expect(clock.pending).toBe(0)
  })
})
