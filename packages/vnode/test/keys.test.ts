import { compareBytes, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeKey, encodeKey, encodePrefix, endOfPrefix, keyText } from '../src/keys.ts'
import { VnodeLayout } from '../src/layout.ts'
import { id } from './world.ts'

/** Short strings over the bytes that the encoding treats in a special way, and a few others. */
const part = fc
  .array(fc.constantFrom(0, 1, 2, 0x61, 0xfe, 0xff), { maxLength: 4 })
  .map((bytes) => new Uint8Array(bytes))
const HEAD = utf8('!head!')
const triple = fc.tuple(part, part, part)

const encode = ([a, b, last]: [Uint8Array, Uint8Array, Uint8Array]) => encodeKey(HEAD, [a, b], last)
const compareTriples = (x: readonly Uint8Array[], y: readonly Uint8Array[]) =>
  x.map((bytes, at) => Math.sign(compareBytes(bytes, y[at]!))).find((order) => order !== 0) ?? 0

describe('keys of several parts', () => {
  it('sort as their parts do', () => {
    fc.assert(
      fc.property(triple, triple, (x, y) => {
        expect(Math.sign(compareBytes(encode(x), encode(y)))).toBe(compareTriples(x, y))
      }),
      { numRuns: 2000 },
    )
  })

  it('come apart as they were put together', () => {
    fc.assert(
      fc.property(triple, ([a, b, last]) => {
        expect(decodeKey(encodeKey(HEAD, [a, b], last).subarray(HEAD.length), 2)).toEqual({
          parts: [a, b],
          last,
        })
      }),
    )
  })

  it('lie between their prefix and its end, and others do not', () => {
    fc.assert(
      fc.property(triple, part, part, (x, a, b) => {
        const key = encode(x)
        const prefix = encodePrefix(HEAD, [a, b])
        const within = compareBytes(key, prefix) >= 0 && compareBytes(key, endOfPrefix(prefix)) < 0
        expect(within).toBe(compareBytes(x[0], a) === 0 && compareBytes(x[1], b) === 0)
      }),
      { numRuns: 2000 },
    )
  })

  it.each([[[0x61]], [[0x61, 0]], [[0x61, 0, 7, 1]], [[]]])('are refused if no part ends: %j', (bytes) => {
    expect(() => decodeKey(new Uint8Array(bytes), 1)).toThrow(
      expect.objectContaining({ code: 'ATOLL_CORRUPT' }),
    )
  })

  it('have a text of their own each', () => {
    fc.assert(
      fc.property(part, part, (a, b) => {
        expect(keyText(a) === keyText(b)).toBe(compareBytes(a, b) === 0)
      }),
    )
  })
})

describe('the layout of a vnode', () => {
  const layout = new VnodeLayout(17)

  it('finds the id of a data key again', () => {
    const one = { type: 'blocks', bucket: new Uint8Array([0, 1, 255]), key: new Uint8Array([0, 0, 1]) }
    expect(layout.idOf(layout.dataKey(one))).toEqual(one)
  })

  it('keeps partitions apart', () => {
    const other = new VnodeLayout(18)
    const { gte, lt } = layout.dataRange
    const key = layout.dataKey(id('k'))
    expect(compareBytes(gte, key)).toBeLessThan(0)
    expect(compareBytes(key, lt)).toBeLessThan(0)
    expect(compareBytes(lt, other.dataRange.gte)).toBeLessThan(0)
  })

  it('knows the index keys of a record from those of records that end alike', () => {
    const place = { type: 'default', index: 'list', scope: utf8('s') }
    const position = { term: utf8('t'), bucket: utf8('b'), key: utf8('k') }
    const key = layout.indexKey(place, position)
    expect(layout.indexKeyIsOf(key, id('k'))).toBe(true)
    expect(layout.indexKeyIsOf(key, id('k', 'lww'))).toBe(false)
    expect(layout.indexKeyIsOf(key, id('k', 'default', 'c'))).toBe(false)
    const longer = layout.indexKey(place, { ...position, bucket: utf8('ab') })
    expect(layout.indexKeyIsOf(longer, id('k'))).toBe(false)
  })
})
