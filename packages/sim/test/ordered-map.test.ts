import { compareBytes, toHex } from '@atoll/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Entry, OrderedMap, type Range } from '../src/ordered-map.ts'

const ALL: Range = { lower: undefined, upper: undefined, reverse: false, limit: Number.POSITIVE_INFINITY }
const key = fc.uint8Array({ maxLength: 3 })
const bound = fc.option(fc.record({ key, inclusive: fc.boolean() }), { nil: undefined })
const step = fc.record({
  type: fc.constantFrom('put', 'put', 'del'),
  key,
  value: fc.uint8Array({ maxLength: 4 }),
})
const limit = fc.oneof(fc.nat(5), fc.constant(Number.POSITIVE_INFINITY))

/** The dumb model: a sorted array. */
function modelOf(steps: readonly { type: string; key: Uint8Array; value: Uint8Array }[]): Entry[] {
  const entries = new Map<string, Entry>()
  for (const { type, key, value } of steps) {
    if (type === 'put') entries.set(toHex(key), { key, value })
    else entries.delete(toHex(key))
  }
  return [...entries.values()].sort((a, b) => compareBytes(a.key, b.key))
}

function mapOf(steps: Parameters<typeof modelOf>[0]): OrderedMap {
  return steps.reduce(
    (map, { type, key, value }) => (type === 'put' ? map.with({ key, value }) : map.without(key)),
    OrderedMap.EMPTY,
  )
}

test('is a sorted array, only faster', () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60 }),
      key,
      bound,
      bound,
      fc.boolean(),
      limit,
      (steps, probe, ...rest) => {
        const [lower, upper, reverse, limit] = rest
        const model = modelOf(steps)
        const map = mapOf(steps)
        expect(map.range(ALL)).toEqual(model)
        expect(map.size).toBe(model.length)
        expect(map.bytes).toBe(model.reduce((sum, { key, value }) => sum + key.length + value.length, 0))
        expect(map.get(probe)).toEqual(model.find((entry) => compareBytes(entry.key, probe) === 0))
        expect(model.map((_, rank) => map.at(rank))).toEqual(model)
        expect(map.at(model.length)).toBe(undefined)
        const within = model.filter(({ key }) => {
          const low = lower === undefined ? 1 : compareBytes(key, lower.key)
          const high = upper === undefined ? -1 : compareBytes(key, upper.key)
          return (
            (low > 0 || (low === 0 && lower?.inclusive)) && (high < 0 || (high === 0 && upper?.inclusive))
          )
        })
        const expected = (reverse ? within.toReversed() : within).slice(0, limit)
        expect(map.range({ lower, upper, reverse, limit })).toEqual(expected)
      },
    ),
    { seed: 1, numRuns: 500 },
  )
})

test('leaves older versions as they were', () => {
  const one = Uint8Array.of(1)
  const before = OrderedMap.EMPTY.with({ key: one, value: Uint8Array.of(7) })
  const after = before.with({ key: one, value: Uint8Array.of(8) })
  expect(before.get(one)?.value).toEqual(Uint8Array.of(7))
  expect(after.get(one)?.value).toEqual(Uint8Array.of(8))
  expect(after.without(one).size).toBe(0)
  expect(after.size).toBe(1)
})

test('stays shallow when keys come and go in order', () => {
  const keyOf = (at: number) => Uint8Array.of(at >> 8, at & 255)
  let map = OrderedMap.EMPTY
  for (let at = 0; at < 20_000; at++) map = map.with({ key: keyOf(at % 65_536), value: keyOf(0) })
  for (let at = 0; at < 19_000; at++) map = map.without(keyOf(at))
  // A list of 20 000 would overflow the stack of the recursion long before this.
  expect(map.size).toBe(1000)
  expect(map.range(ALL).map(({ key }) => toHex(key))).toEqual(
    Array.from({ length: 1000 }, (_, at) => toHex(keyOf(19_000 + at))),
  )
})
