import { compareBytes, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HINT_RANGE } from '../src/hint-layout.ts'
import { NODE_INDEX } from '../src/index-space.ts'
import { decodeKey, encodeKey, encodePrefix, endOfPrefix, keyText } from '../src/keys.ts'
import { FORMAT_KEY, VnodeLayout } from '../src/layout.ts'
import type { ScanPosition } from '../src/protocol.ts'
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
})

describe.each([
  ['of the node', NODE_INDEX],
  ['of a partition, as builds before wrote them', new VnodeLayout(17).ownIndex],
])('index keys %s', (_, space) => {
  const place = { type: 'default', index: 'list', scope: utf8('s') }
  const position = fc.record({ term: part, bucket: part, key: part })
  const keyOf = (one: ScanPosition, partition = 17) => space.key({ ...place, position: one, partition })

  it('sort by position, and come apart as they were put together', () => {
    fc.assert(
      fc.property(position, position, (x, y) => {
        const partsOf = ({ term, bucket, key }: ScanPosition) => [term, bucket, key]
        const order = compareTriples(partsOf(x), partsOf(y))
        expect(Math.sign(compareBytes(keyOf(x), keyOf(y)))).toBe(order)
        expect(space.parse(keyOf(x))).toEqual({ ...place, position: x, partition: 17 })
        const [tailX, tailY] = [x, y].map((one) => keyOf(one).subarray(space.prefix(place).length))
        const heads = [space.orderOf(tailX!, x), NODE_INDEX.orderOf(tailOf(y), y)] as const
        expect(Math.sign(compareBytes(...heads))).toBe(order)
        expect(space.orderOf(tailY!, y)).toEqual(NODE_INDEX.orderOf(tailOf(y), y))
      }),
      { numRuns: 2000 },
    )
    function tailOf(one: ScanPosition): Uint8Array {
      const key = NODE_INDEX.key({ ...place, position: one, partition: 3 })
      return key.subarray(NODE_INDEX.prefix(place).length)
    }
  })

  it('lie behind a position exactly if theirs is greater, be they of any partition', () => {
    fc.assert(
      fc.property(position, position, fc.nat(1023), (x, y, partition) => {
        const { gte, lt } = space.windowRange({ ...place, from: undefined, to: undefined, after: x })
        const key = keyOf(y, partition)
        const isBehind = compareBytes(key, gte) >= 0 && compareBytes(key, lt) < 0
        expect(isBehind).toBe(compareTriples([y.term, y.bucket, y.key], [x.term, x.bucket, x.key]) > 0)
      }),
      { numRuns: 2000 },
    )
  })

  it('are told from those of records that end alike', () => {
    const of = { term: utf8('t'), bucket: utf8('b'), key: utf8('k') }
    const key = keyOf(of)
    expect(space.isOf(key, id('k'), 17)).toBe(true)
    expect(space.isOf(key, id('k'), 18)).toBe(false)
    expect(space.isOf(key, id('k', 'lww'), 17)).toBe(false)
    expect(space.isOf(key, id('k', 'default', 'c'), 17)).toBe(false)
    expect(space.isOf(keyOf({ ...of, bucket: utf8('ab') }), id('k'), 17)).toBe(false)
  })
})

it('the index of the node lies apart from every partition, and from what else is noted', () => {
  const { gte, lt } = NODE_INDEX.range
  for (const other of [
    FORMAT_KEY,
    HINT_RANGE.gte,
    new VnodeLayout(0).dataRange.gte,
    new VnodeLayout(1023).dataRange.lt,
  ])
    expect(compareBytes(other, gte) < 0 || compareBytes(other, lt) >= 0).toBe(true)
})
