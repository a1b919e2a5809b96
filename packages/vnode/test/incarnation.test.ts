import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Incarnation, LEASED_COUNTERS } from '../src/incarnation.ts'

function setUp() {
  let drawn = 0
  const bytes = (length: number) => {
    drawn += 1
    return new Uint8Array(createHash('sha1').update(`${drawn}`).digest().subarray(0, length))
  }
  return {
    random: { bytes, below: () => 0 },
    crc32,
    key: new Uint8Array([1]),
    lineage: { name: 'l', continues: true },
  }
}

describe('an incarnation', () => {
  it('writes its lease with the first dot, and again when that is used up', () => {
    const incarnation = new Incarnation(setUp(), undefined)
    const leases: number[] = []
    const wrong: number[] = []
    for (let at = 1; at <= 2 * LEASED_COUNTERS + 1; at++) {
      const claim = incarnation.claim()
      if (claim.dot.counter !== at) wrong.push(at)
      if (claim.operations.length > 0) leases.push(at)
      incarnation.granted(claim)
    }
    expect(wrong).toEqual([])
    expect(leases).toEqual([1, LEASED_COUNTERS + 1, 2 * LEASED_COUNTERS + 1])
  })

  it('writes its lease again if the write that carried it never came about', () => {
    const incarnation = new Incarnation(setUp(), undefined)
    expect(incarnation.claim().operations).toHaveLength(1)
    expect(incarnation.claim().operations).toHaveLength(1)
  })

  it('never gives a dot twice, whenever it is restarted and whichever writes come about', () => {
    const step = fc.constantFrom('write', 'write', 'write', 'refused', 'failed', 'restart')
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const parts = setUp()
        const given = new Set<string>()
        let stored: Uint8Array | undefined
        let incarnation = new Incarnation(parts, undefined)
        for (const one of steps) {
          if (one === 'restart') {
            incarnation = new Incarnation(parts, stored)
            continue
          }
          const claim = incarnation.claim()
          if (one === 'refused') continue
          incarnation.granted(claim)
          if (one === 'failed') {
            incarnation.renew()
            continue
          }
          for (const operation of claim.operations)
            stored = operation.type === 'put' ? operation.value : stored
          const name = `${claim.dot.actor} ${claim.dot.counter}`
          expect(given.has(name)).toBe(false)
          given.add(name)
        }
      }),
    )
  })
})
