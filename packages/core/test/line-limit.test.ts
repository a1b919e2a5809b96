import { expect, it } from 'vitest'
import { LineLimit } from '../src/index.ts'

function limited(everyMs: number) {
  const clock = { nowMs: 0, monotonicMs: () => clock.nowMs }
  return { clock, limit: new LineLimit(clock, everyMs) }
}

it('lets one line of a kind through in a while, and says how many it kept back', () => {
  const { clock, limit } = limited(1000)
  expect([limit.take('a'), limit.take('a'), limit.take('b'), limit.take('a')]).toEqual([
    0,
    undefined,
    0,
    undefined,
  ])
  clock.nowMs = 999
  expect(limit.take('a')).toBeUndefined()
  clock.nowMs = 1000
  expect([limit.take('a'), limit.take('a'), limit.take('b')]).toEqual([3, undefined, 0])
})

it('does not remember more kinds than 65, however many there are', () => {
  const { limit } = limited(1000)
  const taken = Array.from({ length: 10_000 }, (_, at) => limit.take(`kind ${at}`))
  expect(taken.filter((held) => held !== undefined)).toHaveLength(65)
})
