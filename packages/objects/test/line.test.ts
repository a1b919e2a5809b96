import { isAtollError, SECOND_MS } from '@atoll/core'
import { createWorld } from '@atoll/sim'
import { expect, test } from 'vitest'
import { Line } from '../src/line.ts'

const PLACES = 512
const PATIENCE_MS = 30 * SECOND_MS

interface Outcome {
  readonly n: number
  readonly isRefused: boolean
  readonly atMs: number
}

/**
 * So many at once, each of which takes so long, by virtual time; of the first the places come free one after the other.
 * Outcomes stand in the order in which they came.
 */
async function allAtOnce(count: number, tookMs: (atMs: number) => number) {
  const world = createWorld({ seed: 1 })
  const { clock } = world.runtime('n1')
  const line = new Line(clock, PLACES)
  const outcomes: Outcome[] = []
  const begun: number[] = []
  await world.run(async () => {
    const startMs = clock.monotonicMs()
    const sinceMs = () => clock.monotonicMs() - startMs
    const one = async (n: number) => {
      let isRefused = false
      try {
        await line.run(PATIENCE_MS, () => {
          begun.push(n)
          const wholeMs = tookMs(sinceMs())
          return clock.sleep(n < PLACES ? (wholeMs * (n + 1)) / PLACES : wholeMs)
        })
      } catch (error) {
        isRefused = isAtollError(error, 'ATOLL_OVERLOADED') && error.definite
      }
      outcomes.push({ n, isRefused, atMs: sinceMs() })
    }
    await Promise.all(Array.from({ length: count }, (_, n) => one(n)))
  })
  return { outcomes, begun, refused: outcomes.filter(({ isRefused }) => isRefused) }
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n)

test('of 9000 at once none is refused that can be served in time, and the first are answered first', async () => {
  const { outcomes, begun, refused } = await allAtOnce(9000, () => 1.5 * SECOND_MS)
  expect(refused).toEqual([])
  expect(begun).toEqual(upTo(9000))
  expect(outcomes.map(({ n }) => n)).toEqual(upTo(9000))
  expect(outcomes[0]?.atMs).toBeLessThan(10)
})

test('where there is time for some only, the others know by half of it, and nobody else is refused', async () => {
  const { begun, refused } = await allAtOnce(9000, () => 4 * SECOND_MS)
  // 128 go in each second, besides the first.
  const served = PLACES + (PATIENCE_MS / SECOND_MS) * 128
  expect(begun).toEqual(upTo(begun.length))
  expect(served - begun.length).toBeLessThanOrEqual(2)
  expect(refused.length).toBe(9000 - begun.length)
  expect(refused.filter(({ atMs }) => atMs > PATIENCE_MS / 2).length).toBeLessThanOrEqual(2)
  // Those for whom it would take more than twice as long know by a quarter.
  const soon = refused.filter(({ atMs }) => atMs <= PATIENCE_MS / 4)
  expect(Math.abs(soon.length - (9000 - 2 * served + PLACES))).toBeLessThanOrEqual(4)
})

test('a line that is slow at first and then fast serves all whom it has time for', async () => {
  const { begun, refused } = await allAtOnce(6000, (atMs) => (atMs < 2 * SECOND_MS ? 4 : 1) * SECOND_MS)
  expect(refused).toEqual([])
  expect(begun).toEqual(upTo(6000))
})

test('a line that does not move any more refuses all before their time is over, and most by half of it', async () => {
  const { refused, begun } = await allAtOnce(3000, (atMs) => (atMs === 0 ? 1 : 100) * SECOND_MS)
  expect(begun).toEqual(upTo(2 * PLACES))
  expect(refused.length).toBe(3000 - begun.length)
  for (const { atMs } of refused) expect(atMs).toBeLessThanOrEqual(0.75 * PATIENCE_MS)
  // As far as anybody knows another 512 could go in by then.
  expect(refused.filter(({ atMs }) => atMs > PATIENCE_MS / 2).length).toBe(PLACES)
})

test('a place that is free again goes to the next, also if the task before it fails', async () => {
  const world = createWorld({ seed: 1 })
  const line = new Line(world.runtime('n1').clock, 1)
  await world.run(async () => {
    const failing = line.run(1000, () => Promise.reject(new Error('no')))
    const next = line.run(1000, () => Promise.resolve('yes'))
    await expect(failing).rejects.toThrow('no')
    expect(await next).toBe('yes')
    expect(await line.run(1000, () => Promise.resolve('again'))).toBe('again')
  })
})

test('at most 10,000 wait', async () => {
  const world = createWorld({ seed: 1 })
  const { clock } = world.runtime('n1')
  const line = new Line(clock, 1)
  await world.run(async () => {
    const all = Array.from({ length: 10_002 }, () => line.run(1000, () => clock.sleep(0)))
    const outcomes = await Promise.allSettled(all)
    const refused = outcomes.flatMap((outcome, at) => (outcome.status === 'rejected' ? [at] : []))
    expect(refused).toEqual([10_001])
  })
})
