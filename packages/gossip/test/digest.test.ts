import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareVerdicts, type Digest, MAX_ACCUSERS, mergeVerdict, newcomer } from '../src/digest.ts'
import { validateGossipOptions } from '../src/options.ts'
import { suspicionMs, suspicionTimes } from '../src/suspicions.ts'

const verdict = fc
  .record({
    incarnation: fc.integer({ min: 0, max: 3 }),
    status: fc.constantFrom('alive', 'suspect', 'dead'),
    accuser: fc.constantFrom('a', 'b', 'c'),
  })
  .map(({ incarnation, status, accuser }): Digest => {
    const accusers = status === 'suspect' ? [accuser] : []
    return { ...newcomer('n'), incarnation, status, accusers } as Digest
  })

const asSet = ({ accusers, ...rest }: Digest) => ({ ...rest, accusers: [...accusers].sort() })

describe('verdicts', () => {
  test('come to the same in whatever order, and however often, they are heard', () => {
    fc.assert(
      fc.property(fc.array(verdict, { maxLength: 8 }), fc.infiniteStream(fc.nat()), (heard, numbers) => {
        const other = [...heard, ...heard]
          .map((digest) => ({ digest, key: numbers.next().value }))
          .sort((a, b) => a.key - b.key)
          .map(({ digest }) => digest)
        const end = (all: Digest[]) => asSet(all.reduce(mergeVerdict, newcomer('n')))
        expect(end(other)).toEqual(end(heard))
      }),
    )
  })

  test('never go back', () => {
    fc.assert(
      fc.property(verdict, verdict, (mine, theirs) => {
        const merged = mergeVerdict(mine, theirs)
        expect(compareVerdicts(merged, mine)).toBeGreaterThanOrEqual(0)
        expect(compareVerdicts(merged, theirs)).toBeGreaterThanOrEqual(0)
      }),
    )
  })

  test('that change nothing are the same value, and accusers are bounded', () => {
    const suspect: Digest = { ...newcomer('n'), incarnation: 1, status: 'suspect', accusers: ['a'] }
    expect(mergeVerdict(suspect, { ...suspect })).toBe(suspect)
    const many = ['b', 'c', 'd', 'e', 'f'].map((accuser) => ({ ...suspect, accusers: [accuser] }))
    expect(many.reduce(mergeVerdict, suspect).accusers).toEqual(['a', 'b', 'c', 'd'].slice(0, MAX_ACCUSERS))
  })
})

describe('the time of a suspicion', () => {
  const options = validateGossipOptions({ node: 'n' })

  test('is that of Lifeguard', () => {
    const times = { minMs: 1000, maxMs: 3000, confirmations: 3 }
    expect([0, 1, 2, 3, 4].map((confirmed) => Math.round(suspicionMs(times, confirmed)))).toEqual([
      3000, 2000, 1415, 1000, 1000,
    ])
    expect(suspicionMs({ ...times, confirmations: 0 }, 0)).toBe(1000)
  })

  test('grows with the logarithm of the cluster, and asks no more confirmations than there can be', () => {
    const times = [2, 3, 5, 10, 100, 1000].map((nodes) => suspicionTimes(nodes, options))
    expect(times.map(({ minMs }) => minMs)).toEqual([1000, 1000, 1000, 1000, 2000, expect.closeTo(3000)])
    expect(times.map(({ confirmations }) => confirmations)).toEqual([0, 1, 3, 3, 3, 3])
  })
})
