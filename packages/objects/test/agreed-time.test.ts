import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { agreedTime } from '../src/agreed-time.ts'

const FAR = 10 * 365 * 24 * 3_600_000
const NOW = 1_700_000_000_000

describe('the time that clocks agree on', () => {
  test.each<[string, number, readonly number[], [number, number] | undefined]>([
    ['of one', 1, [0], [0, 0]],
    ['of two that differ lies between them', 2, [0, FAR], [0, FAR]],
    ['of three is the middle one', 3, [-FAR, 1, FAR], [1, 1]],
    ['of five of which two are wrong is that of the right ones', 5, [FAR, 0, 1, 2, FAR], [2, 2]],
    ['of five of which two do not answer and two are wrong is bounded by both', 5, [FAR, 0, FAR], [0, FAR]],
    ['of four lies between the two in the middle', 4, [0, 1, 2, FAR], [1, 2]],
    ['of one of three is nothing', 3, [0], undefined],
    ['of two of four is nothing', 4, [0, 1], undefined],
    ['of none is nothing', 3, [], undefined],
  ])('%s', (_, members, offsets, expected) => {
    const agreed = agreedTime({ members, wallMs: offsets.map((offset) => NOW + offset) })
    expect(agreed && [agreed.earliestMs - NOW, agreed.latestMs - NOW]).toEqual(expected)
  })

  test('has a right clock on either side, whichever are wrong and whoever answers', () => {
    const cluster = fc.integer({ min: 1, max: 9 }).chain((members) =>
      fc.record({
        wrong: fc.array(fc.integer({ min: -FAR, max: FAR }), { maxLength: Math.floor((members - 1) / 2) }),
        right: fc.array(fc.integer({ min: -500, max: 500 }), { minLength: members, maxLength: members }),
        answers: fc.array(fc.boolean(), { minLength: members, maxLength: members }),
      }),
    )
    fc.assert(
      fc.property(cluster, ({ wrong, right, answers }) => {
        const clocks = right.map((offset, at) => NOW + (wrong[at] ?? offset))
        const wallMs = clocks.filter((_, at) => answers[at])
        const agreed = agreedTime({ members: right.length, wallMs })
        expect(agreed === undefined).toBe(wallMs.length <= right.length / 2)
        if (agreed === undefined) return
        expect(agreed.earliestMs).toBeLessThanOrEqual(NOW + 500)
        expect(agreed.latestMs).toBeGreaterThanOrEqual(NOW - 500)
        expect(agreed.earliestMs).toBeLessThanOrEqual(agreed.latestMs)
      }),
      { numRuns: 2000 },
    )
  })
})
