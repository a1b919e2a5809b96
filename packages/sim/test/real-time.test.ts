import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createWorld, WorldError } from '../src/index.ts'

const run = (use: () => unknown, realTime?: 'allowed') => {
  const world = createWorld({ seed: 1 })
  const main = async () => {
    await world.clockOf('n1').sleep(5)
    await use()
  }
  return world.run(main, realTime && { realTime }).catch((error: unknown) => error)
}

test.each<[string, () => unknown]>([
  ['setTimeout', () => new Promise((resolve) => setTimeout(resolve, 1))],
  ['setInterval', () => clearInterval(setInterval(() => {}, 1))],
  ['setImmediate', () => new Promise((resolve) => setImmediate(resolve))],
  ['Date.now', () => Date.now()],
  ['new Date()', () => new Date()],
  ['performance.now', () => performance.now()],
  ['Math.random', () => Math.random()],
])('%s in a simulated world is refused, by name and place', async (name, use) => {
  const error = await run(use)
  expect(error).toBeInstanceOf(WorldError)
  expect(error).toMatchObject({
    failure: 'real-time',
    summary: expect.stringContaining(`${name} was called at `),
  })
  expect(error).toMatchObject({ summary: expect.stringContaining('real-time.test.ts') })
})

test('a run fails by it even where somebody swallows the error', async () => {
  const error = await run(() => {
    try {
      Date.now()
    } catch {}
  })
  expect(error).toMatchObject({ failure: 'real-time' })
})

test('dates of a given time are no use of the clock, and nothing is left behind', async () => {
  const before = [setTimeout, setInterval, setImmediate, Date, performance.now, Math.random]
  const made = await run(() => {
    expect(new Date(0) instanceof Date).toBe(true)
    expect(Date.UTC(2020, 0)).toBe(1_577_836_800_000)
  })
  expect(made).toBeUndefined()
  expect([setTimeout, setInterval, setImmediate, Date, performance.now, Math.random]).toEqual(before)
  await run(() => Date.now())
  expect(Date.now()).toBeGreaterThan(1_700_000_000_000)
  await pause(1)
})

test('who knows what it does may allow it', async () => {
  expect(await run(() => Date.now(), 'allowed')).toBeUndefined()
})
