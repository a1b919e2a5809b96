import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  clocksEqual,
  compareDots,
  compareVectors,
  covers,
  descends,
  mergeVectors,
  type VersionVector,
} from '../src/index.ts'
import { ACTOR_A, ACTOR_B } from './sample.ts'

const vector = (a: number, b: number): VersionVector =>
  new Map([...(a > 0 ? [[ACTOR_A, a] as const] : []), ...(b > 0 ? [[ACTOR_B, b] as const] : [])])

// Two actors with counters up to 2: small enough to try every pair.
const ALL = [0, 1, 2].flatMap((a) => [0, 1, 2].map((b) => ({ a, b, vector: vector(a, b) })))

describe('version vectors', () => {
  it('compare as the sets of events that they stand for', () => {
    for (const x of ALL) {
      for (const y of ALL) {
        const knowsY = x.a >= y.a && x.b >= y.b
        const knowsX = y.a >= x.a && y.b >= x.b
        const order = knowsX ? (knowsY ? 'equal' : 'before') : knowsY ? 'after' : 'concurrent'
        expect(compareVectors(x.vector, y.vector)).toBe(order)
        expect(descends(x.vector, y.vector)).toBe(knowsY)
        expect(clocksEqual(x.vector, y.vector)).toBe(order === 'equal')
      }
    }
  })

  it('merge to the union of their events, and to one of them where that has all', () => {
    for (const x of ALL) {
      for (const y of ALL) {
        const merged = mergeVectors(x.vector, y.vector)
        expect(merged).toEqual(vector(Math.max(x.a, y.a), Math.max(x.b, y.b)))
        if (descends(x.vector, y.vector)) expect(merged).toBe(x.vector)
        else if (descends(y.vector, x.vector)) expect(merged).toBe(y.vector)
      }
    }
  })

  it('cover a dot and all earlier ones of its actor', () => {
    const clock = vector(2, 0)
    expect([1, 2, 3].map((counter) => covers(clock, { actor: ACTOR_A, counter }))).toEqual([
      true,
      true,
      false,
    ])
    expect(covers(clock, { actor: ACTOR_B, counter: 1 })).toBe(false)
  })

  it('order dots by actor, then by counter as a number', () => {
    const dot = fc.record({ actor: fc.constantFrom(ACTOR_A, ACTOR_B), counter: fc.nat(20) })
    const padded = ({ actor, counter }: { actor: string; counter: number }) =>
      actor + String(counter).padStart(2, '0')
    fc.assert(
      fc.property(dot, dot, (x, y) => {
        const expected = padded(x) === padded(y) ? 0 : padded(x) < padded(y) ? -1 : 1
        expect(Math.sign(compareDots(x, y))).toBe(expected)
      }),
    )
  })
})
