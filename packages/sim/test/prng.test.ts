import { expect, test } from 'vitest'
import { Prng } from '../src/prng.ts'

const draws = (prng: Prng, count = 8) => Array.from({ length: count }, () => prng.next())

test('draws the same from the same path, and something else from another', () => {
  expect(draws(new Prng('7'))).toEqual(draws(new Prng('7')))
  expect(draws(new Prng('7'))).not.toEqual(draws(new Prng('8')))
})

test('is pinned: a seed means the same run in every later version', () => {
  expect(draws(new Prng('1'), 3)).toMatchInlineSnapshot(`
    [
      2863164244,
      773016552,
      218760040,
    ]
  `)
  expect(new Prng('1').bytes(6)).toMatchInlineSnapshot(`
    Uint8Array [
      84,
      107,
      168,
      170,
      232,
      75,
    ]
  `)
})

test('forks without regard to what was drawn', () => {
  const fresh = new Prng('7')
  const used = new Prng('7')
  draws(used, 100)
  expect(draws(used.fork('a'))).toEqual(draws(fresh.fork('a')))
  expect(draws(fresh.fork('a'))).not.toEqual(draws(fresh.fork('b')))
})

test('draws every number below a limit about as often', () => {
  const prng = new Prng('fair')
  const counts = new Array<number>(10).fill(0)
  for (let at = 0; at < 100_000; at++) counts[prng.below(10)]! += 1
  for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500)
})

test('takes the whole range of 32 bits, and refuses more', () => {
  const prng = new Prng('wide')
  expect(draws(prng, 1000).some((drawn) => drawn >= 2 ** 31)).toBe(true)
  expect(prng.below(2 ** 32)).toBeGreaterThanOrEqual(0)
  expect(() => prng.below(2 ** 32 + 1)).toThrow(RangeError)
  expect(() => prng.below(0)).toThrow(RangeError)
  expect(() => prng.pick([])).toThrow(RangeError)
})

test('samples without repeating, and leaves the items alone', () => {
  const items = [1, 2, 3, 4, 5]
  const sample = new Prng('sample').sample(items, 3)
  expect(new Set(sample).size).toBe(3)
  expect(new Prng('sample').sample(items, 9).toSorted()).toEqual(items)
  expect(items).toEqual([1, 2, 3, 4, 5])
})
