import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arrange } from '../src/claim/pattern.ts'
import { gapOf } from './claim-model.ts'

describe('classes of given sizes on a ring', () => {
  it('keep the widest gap that the largest of them can have', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 9 }), (sizes) => {
        const largest = Math.max(...sizes)
        fc.pre(largest > 0)
        const ring = arrange(sizes)
        for (const [member, size] of sizes.entries()) {
          expect(ring.filter((at) => at === member).length).toBe(size)
        }
        expect(gapOf(Array.from(ring, String))).toBeGreaterThanOrEqual(Math.floor(ring.length / largest))
      }),
      { numRuns: 500 },
    )
  })
})
