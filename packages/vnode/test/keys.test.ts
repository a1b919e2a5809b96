import { compareBytes, equalBytes, type KeyId, placeOf, toHex, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HINT_RANGE } from '../src/hint-layout.ts'
import { NODE_INDEX } from '../src/index-space.ts'
import { decodeKey, encodeKey, encodePrefix, endOfPrefix, keyText } from '../src/keys.ts'
import { bodyKeyOf, FORMAT_KEY, nameBytesOf, olderKeyOf, partitionOfKey, VnodeLayout } from '../src/layout.ts'
import type { ScanPosition } from '../src/protocol.ts'
import { goldenBytes } from './golden.ts'
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

/** Names of which many are alike, with places or without. */
const anyId: fc.Arbitrary<KeyId> = fc
  .record({
    type: fc.constantFrom('blocks', 'b', 'default'),
    bucket: part.filter(({ length }) => length > 0),
    key: part.filter(({ length }) => length > 0),
    place: fc.option(
      part.filter(({ length }) => length > 0),
      { nil: undefined },
    ),
  })
  .map(({ place, ...id }) =>
    place === undefined || compareBytes(place, id.key) === 0 ? id : { ...id, place },
  )
const nameOfId = ({ type, bucket, key, place }: KeyId) => JSON.stringify([type, [...bucket], [...key], place])

describe('the layout of a vnode', () => {
  const layout = new VnodeLayout(17)

  it('finds the id of a key again, wherever the key lies, and from any of these keys the others', () => {
    fc.assert(
      fc.property(anyId, (of) => {
        const key = layout.dataKey(of)
        const others = [olderKeyOf(key), bodyKeyOf(key)]
        for (const one of [key, ...others]) {
          expect(layout.idOf(one)).toEqual(of)
          expect(layout.dataKeyAt(nameBytesOf(one))).toEqual(key)
          expect(layout.textOf(layout.dataKeyAt(nameBytesOf(one)))).toBe(keyText(key))
          expect(partitionOfKey(one)).toBe(17)
        }
        expect(bodyKeyOf(olderKeyOf(key))).toEqual(bodyKeyOf(key))
        expect(layout.textOf(olderKeyOf(key))).toBe(keyText(key))
        expect(layout.dataKeyOf(layout.noteKey(key))).toEqual(key)
      }),
      { numRuns: 500 },
    )
  })

  it('gives every record a key of its own', () => {
    fc.assert(
      fc.property(anyId, anyId, (x, y) => {
        const isSame = nameOfId(x) === nameOfId(y)
        for (const keyOf of [(of: KeyId) => layout.dataKey(of), (of: KeyId) => bodyKeyOf(layout.dataKey(of))])
          expect(compareBytes(keyOf(x), keyOf(y)) === 0).toBe(isSame)
      }),
      { numRuns: 500 },
    )
  })

  it('takes a place that equals the key for none', () => {
    const of = id('k')
    expect(layout.dataKey({ ...of, place: of.key })).toEqual(layout.dataKey(of))
  })

  it('has the records of a type that are in one segment side by side, and those of a type', () => {
    const { range, typeRange } = layout.heads
    const segmentOf = (of: KeyId) => {
      const key = layout.dataKey(of)
      const at = range.gte.length + of.type.length + 2
      return { key, prefix: key.subarray(0, at + 2), of }
    }
    fc.assert(
      fc.property(fc.array(anyId, { maxLength: 60 }), (ids) => {
        const rows = ids.map(segmentOf).sort((x, y) => compareBytes(x.key, y.key))
        const runs = rows.filter(({ prefix }, at) => at === 0 || !equalBytes(prefix, rows[at - 1]!.prefix))
        expect(new Set(runs.map(({ prefix }) => toHex(prefix))).size).toBe(runs.length)
        for (const { key, of } of rows)
          for (const type of ['blocks', 'b', 'default']) {
            const { gte, lt } = typeRange(type)
            expect(compareBytes(key, gte) >= 0 && compareBytes(key, lt) < 0).toBe(type === of.type)
          }
      }),
      { numRuns: 200 },
    )
  })

  it('spreads records evenly over the segments, be their keys alike as they may', () => {
    const RECORDS = 1 << 15
    for (const idOf of [
      (at: number) => id(`${at}`),
      (at: number) => ({ ...id(String(at).padStart(12, '0')), place: utf8('one') }),
      (at: number) => ({
        type: 'blocks',
        bucket: new Uint8Array(16),
        key: new Uint8Array([0, 0, at >> 16, at >> 8, at]),
      }),
    ]) {
      const counts = new Uint32Array(1 << 8)
      const lows = new Uint32Array(1 << 8)
      for (let at = 0; at < RECORDS; at++) {
        const key = layout.dataKey(idOf(at))
        const of = layout.heads.range.gte.length + idOf(at).type.length + 2
        counts[key[of]!]!++
        lows[key[of + 1]!]!++
      }
      // 128 each. Of 256 such counts one is off by more than half once in 10^5 tries, if they are drawn.
      for (const group of [counts, lows]) {
        expect(Math.min(...group)).toBeGreaterThan(64)
        expect(Math.max(...group)).toBeLessThan(192)
      }
    }
  })

  it('puts a record where it always will: a vector', () => {
    const keys = [
      id('mykey', 'default', 'test'),
      { ...id('mykey', 'default', 'test'), place: utf8('place') },
      { type: 'blocks', bucket: new Uint8Array([0, 1, 255]), key: new Uint8Array([0, 0, 1]) },
    ].map((of) => layout.dataKey(of))
    for (const [at, key] of keys.entries())
      expect(toHex(key)).toBe(toHex(goldenBytes(`record-key-in-segment-${at}`, key)))
  })

  it('keeps partitions and sublevels apart', () => {
    const other = new VnodeLayout(18)
    for (const one of [layout.heads, layout.olderHeads, layout.bodies]) {
      const { gte, lt } = one.range
      const keys = [
        layout.dataKey(id('k')),
        olderKeyOf(layout.dataKey(id('k'))),
        bodyKeyOf(layout.dataKey(id('k'))),
      ]
      const within = keys.filter((key) => compareBytes(gte, key) < 0 && compareBytes(key, lt) < 0)
      expect(within).toHaveLength(1)
      expect(compareBytes(lt, other.bodies.range.gte)).toBeLessThan(0)
    }
  })

  it('has cursors of both kinds of keys, of which those of older ones go first and lead to all others', () => {
    fc.assert(
      fc.property(fc.array(anyId, { minLength: 1, maxLength: 30 }), fc.nat(), fc.nat(), (ids, split, cut) => {
        const keys = new Map(ids.map((of) => [nameOfId(of), layout.dataKey(of)]))
        const rows = [...keys.values()].map((key, at) => (at % 3 < split % 3 ? olderKeyOf(key) : key))
        const order = (ranges: readonly { readonly gte: Uint8Array; readonly lt: Uint8Array }[]) =>
          ranges.flatMap(({ gte, lt }) =>
            rows.filter((key) => compareBytes(key, gte) >= 0 && compareBytes(key, lt) < 0).sort(compareBytes),
          )
        const all = order(layout.rangesAfter(undefined, { hasOlder: true }))
        expect(all).toHaveLength(rows.length)
        const at = cut % all.length
        const rest = order(layout.rangesAfter(layout.cursorOf(all[at]!), { hasOlder: true }))
        expect(rest).toEqual(all.slice(at + 1))
        // Once all are moved, what was behind the cursor is among what is.
        const cursor = layout.cursorOf(all[at]!)
        const moved = new Set(
          layout
            .rangesAfter(cursor, { hasOlder: false })
            .flatMap(({ gte, lt }) =>
              [...keys.values()]
                .filter((key) => compareBytes(key, gte) >= 0 && compareBytes(key, lt) < 0)
                .map((key) => toHex(key)),
            ),
        )
        for (const key of rest) expect(moved).toContain(toHex(layout.dataKeyAt(nameBytesOf(key))))
      }),
      { numRuns: 300 },
    )
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

describe('index keys of records with places', () => {
  const place = { type: 'default', index: 'list', scope: utf8('s') }
  const position: fc.Arbitrary<ScanPosition> = fc.record({
    term: part,
    bucket: part,
    key: part,
    place: fc.option(
      part.filter(({ length }) => length > 0),
      { nil: undefined },
    ),
  })
  const keyOf = (one: ScanPosition, partition = 17) => NODE_INDEX.key({ ...place, position: one, partition })
  const partsOf = (one: ScanPosition) => [one.term, one.bucket, one.key, placeOf(one) ?? new Uint8Array(0)]
  const orderOf = (x: ScanPosition, y: ScanPosition) => compareTriples(partsOf(x), partsOf(y))

  it('sort by position and then by place, those without one first, and come apart', () => {
    fc.assert(
      fc.property(position, position, fc.nat(1023), (x, y, partition) => {
        const [keyX, keyY] = [keyOf(x), keyOf(y, partition)]
        if (orderOf(x, y) !== 0) expect(Math.sign(compareBytes(keyX, keyY))).toBe(orderOf(x, y))
        expect(NODE_INDEX.partitionOf(keyY)).toBe(partition)
        const parsed = NODE_INDEX.parse(keyX)
        expect(partsOf(parsed.position)).toEqual(partsOf(x))
        expect(parsed.partition).toBe(17)
        const { gte, lt } = NODE_INDEX.windowRange({ ...place, from: undefined, to: undefined, after: x })
        const isBehind = compareBytes(keyY, gte) >= 0 && compareBytes(keyY, lt) < 0
        expect(isBehind).toBe(orderOf(y, x) > 0)
        const heads = [keyX, keyY].map((key) => {
          const tail = key.subarray(NODE_INDEX.prefix(place).length)
          return NODE_INDEX.orderOf(tail, NODE_INDEX.parse(key).position)
        })
        expect(Math.sign(compareBytes(heads[0]!, heads[1]!))).toBe(orderOf(x, y))
      }),
      { numRuns: 1000 },
    )
  })

  it('are told from those of the same key with another place, or without', () => {
    const of = { ...id('k'), place: utf8('p') }
    const key = keyOf({ term: utf8('t'), bucket: of.bucket, key: of.key, place: of.place })
    expect(NODE_INDEX.isOf(key, of, 17)).toBe(true)
    expect(NODE_INDEX.isOf(key, id('k'), 17)).toBe(false)
    expect(NODE_INDEX.isOf(key, { ...of, place: utf8('q') }, 17)).toBe(false)
    expect(NODE_INDEX.isOf(key, of, 16)).toBe(false)
  })
})

it('the index of the node lies apart from every partition, and from what else is noted', () => {
  const { gte, lt } = NODE_INDEX.range
  for (const other of [
    FORMAT_KEY,
    HINT_RANGE.gte,
    new VnodeLayout(0).bodies.range.gte,
    new VnodeLayout(1023).heads.range.lt,
  ])
    expect(compareBytes(other, gte) < 0 || compareBytes(other, lt) >= 0).toBe(true)
})
