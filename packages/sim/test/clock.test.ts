import { expect, test } from 'vitest'
import { createWorld } from '../src/index.ts'

const START = 1_700_000_000_000

test('wall clocks agree at first, and monotonic ones do not', () => {
  const world = createWorld({ seed: 1 })
  expect(world.clockOf('n1').wallMs()).toBe(START)
  expect(world.clockOf('n2').wallMs()).toBe(START)
  expect(world.clockOf('n1').monotonicMs()).not.toBe(world.clockOf('n2').monotonicMs())
})

test('skew and jumps move the wall clock alone', async () => {
  const world = createWorld({ seed: 1 })
  const clock = world.clockOf('n1')
  const bootMs = clock.monotonicMs()
  clock.skew(-5000)
  expect(clock.wallMs()).toBe(START - 5000)
  clock.jump(2000)
  expect(clock.wallMs()).toBe(START - 3000)
  await world.run(() => clock.sleep(100))
  expect(clock.wallMs()).toBe(START - 2900)
  expect(clock.monotonicMs()).toBe(bootMs + 100)
  clock.skew(0)
  expect(clock.wallMs()).toBe(START + 100)
})

test('drift changes the rate without a step, for timers too', async () => {
  const world = createWorld({ seed: 1 })
  const clock = world.clockOf('n1')
  const bootMs = clock.monotonicMs()
  await world.run(() => clock.sleep(1000))
  clock.drift(10_000)
  expect(clock.monotonicMs()).toBe(bootMs + 1000)
  await world.run(() => clock.sleep(1010))
  expect(world.nowMs).toBeCloseTo(2000, 6)
  expect(clock.monotonicMs()).toBeCloseTo(bootMs + 2010, 6)
  expect(clock.wallMs()).toBeGreaterThan(START + 2000)
  clock.skew(0)
  expect(clock.wallMs()).toBe(START + 2000)
  expect(() => clock.drift(60_000)).toThrow(RangeError)
})

test('slack lets timers be late, and never early', async () => {
  const world = createWorld({ seed: 1, timerSlackMs: 3 })
  const { clock } = world.runtime('n1')
  const latenessMs = await world.run(async () => {
    const seen: number[] = []
    for (let at = 0; at < 50; at++) {
      const dueMs = world.nowMs + 10
      await clock.sleep(10)
      seen.push(world.nowMs - dueMs)
    }
    return seen
  })
  expect(Math.min(...latenessMs)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...latenessMs)).toBeLessThanOrEqual(3)
  expect(new Set(latenessMs).size).toBeGreaterThan(10)
})

test('refuses a delay that is no number', () => {
  const { clock } = createWorld({ seed: 1 }).runtime('n1')
  expect(() => clock.timer(Number.NaN, () => {})).toThrow(RangeError)
  expect(() => clock.timer(Number.POSITIVE_INFINITY, () => {})).toThrow(RangeError)
})

test('whoever waits for what is left of a delay comes to its end, however little that is', async () => {
  const world = createWorld({ seed: 1 })
  const clock = world.clockOf('n1')
  await world.run(async () => {
    await clock.sleep(8378.629_431_724_541)
    const endMs = clock.monotonicMs() + 9e-13
    let waits = 0
    while (clock.monotonicMs() <= endMs) {
      await clock.sleep(9e-13)
      waits += 1
      expect(waits).toBeLessThan(10)
    }
  })
})
