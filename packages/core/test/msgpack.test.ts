import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { concatBytes, fromHex, utf8 } from '../src/index.ts'
import { packTuple, type TupleValue, unpackTuple } from '../src/msgpack.ts'

const { tuple: anyTuple } = fc.letrec<{ field: TupleValue; tuple: TupleValue[] }>((tie) => ({
  field: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<TupleValue>(null, true, false),
    fc.integer(),
    fc.maxSafeInteger(),
    // msgpack has no negative zero among its integers.
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number || 0),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.uint8Array({ maxLength: 300 }),
    tie('tuple'),
  ),
  tuple: fc.array(tie('field'), { maxLength: 20 }),
}))
const msgpackr = new Packr({ useRecords: false, mapsAsObjects: false, moreTypes: false })

describe('packed tuples', () => {
  it('open to what went in', () => {
    fc.assert(
      fc.property(anyTuple, (tuple) => {
        expect(unpackTuple(packTuple(tuple))).toEqual(tuple)
      }),
      { numRuns: 500 },
    )
  })

  it('are the bytes that msgpackr writes', () => {
    fc.assert(
      fc.property(anyTuple, (tuple) => {
        expect(packTuple(tuple)).toEqual(Uint8Array.from(msgpackr.pack(tuple)))
      }),
      { numRuns: 1000 },
    )
    for (const edge of [
      0,
      0x1f,
      0x20,
      0x7f,
      0x80,
      0xff,
      0x100,
      0x7fff,
      0x8000,
      0xffff,
      0x10000,
      2 ** 31,
      2 ** 32,
    ]) {
      const numbers = [edge - 1, edge, -edge, -edge - 1]
      expect(packTuple(numbers)).toEqual(Uint8Array.from(msgpackr.pack(numbers)))
      if (edge > 0x10000) continue
      const long: TupleValue[] = [
        'a'.repeat(edge),
        'ß'.repeat(edge),
        new Uint8Array(edge),
        new Array(edge).fill(null),
      ]
      expect(packTuple(long)).toEqual(Uint8Array.from(msgpackr.pack(long)))
    }
  })

  it('do not depend on what was packed, or refused, before', () => {
    expect(() => packTuple(['begun', [1, Number.NaN]])).toThrow(RangeError)
    packTuple([new Uint8Array(1_000_000)])
    const first = packTuple(['first'], 7)
    packTuple(['other'], 8)
    expect(first).toEqual(concatBytes([Uint8Array.of(7, 0x91, 0xa5), utf8('first')]))
  })

  it('keep large fields and long tuples', () => {
    const tuple = [
      'ß'.repeat(40_000),
      new Uint8Array(70_000).fill(7),
      Array.from({ length: 70_000 }, (_, at) => at),
    ]
    expect(unpackTuple(packTuple(tuple))).toEqual(tuple)
  })

  it('keep a byte order mark that begins a long text', () => {
    const tuple = [`\ufeff${'a'.repeat(100)}`]
    expect(unpackTuple(packTuple(tuple))).toEqual(tuple)
  })

  it('hold bytes as views, and as plain Uint8Arrays even if a Buffer came in', () => {
    const packed = Buffer.from(packTuple([utf8('value')]))
    const unpacked = unpackTuple(packed)
    expect(unpacked).toEqual([utf8('value')])
    expect(unpacked).toMatchObject([{ buffer: packed.buffer }])
  })

  it('are read from the middle of a larger buffer', () => {
    const packed = packTuple([1.5, 'text', 70_000, utf8('bytes')])
    const around = concatBytes([new Uint8Array(3), packed, new Uint8Array(5)])
    expect(unpackTuple(around.subarray(3, 3 + packed.length))).toEqual([1.5, 'text', 70_000, utf8('bytes')])
  })
})

describe('damaged bytes', () => {
  it('are refused, or read as msgpackr reads them', () => {
    const damaged = fc.tuple(anyTuple, fc.nat(), fc.nat(255), fc.boolean()).map(([tuple, at, byte, cut]) => {
      const packed = Uint8Array.from(packTuple(tuple))
      packed[at % packed.length] = byte
      return cut ? packed.subarray(0, at % packed.length) : packed
    })
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 40 })), (bytes) => {
        const value = valueOrRefusal(bytes)
        if (value !== undefined) expect(value).toEqual(msgpackr.unpack(bytes))
      }),
      { numRuns: 3000 },
    )
  })

  it.each([
    ['nothing at all', ''],
    ['bytes after the end', '9000'],
    ['a cut integer', 'cd01'],
    ['a cut number', 'cb00'],
    ['a cut text', 'a361'],
    ['cut bytes', 'c40561'],
    ['a tuple that claims 4 294 967 295 fields', 'ddffffffff00'],
    ['a text that is not UTF-8', '91a1ff'],
    ['a text with half a character', '91a3eda080'],
    ['a map', '8100c0'],
    ['a record, for which msgpackr would compile code', '91d4720091a16105'],
    ['an extension', 'd6ff00000000'],
    ['a 64-bit integer', 'cf0000000000000001'],
    ['a 32-bit float', 'ca00000000'],
    ['a byte that is never used', 'c1'],
    ['tuples in tuples without end', '91'.repeat(100_000)],
  ])('are refused: %s', (_, hex) => {
    expect(() => unpackTuple(fromHex(hex))).toThrow()
  })
})

describe('what could not be read again', () => {
  const deep = (levels: number): TupleValue[] => (levels === 0 ? [] : [deep(levels - 1)])

  it.each<[string, TupleValue[]]>([
    ['NaN', [Number.NaN]],
    ['infinity', [[Number.NEGATIVE_INFINITY]]],
    ['half a character', ['a\ud800b']],
    ['tuples too deep in tuples', deep(16)],
  ])('is not packed: %s', (_, tuple) => {
    expect(() => packTuple(tuple)).toThrow(/must|may/)
  })

  it('begins just past what is: tuples 16 deep, and characters of two halves', () => {
    expect(unpackTuple(packTuple(deep(15)))).toEqual(deep(15))
    expect(unpackTuple(packTuple(['😀']))).toEqual(['😀'])
  })
})

/** The value, or undefined if it was refused by an error that says why. */
function valueOrRefusal(bytes: Uint8Array): TupleValue | undefined {
  try {
    return unpackTuple(bytes)
  } catch (error) {
    if (error instanceof RangeError || !(error instanceof Error) || error.message === '') throw error
    return undefined
  }
}
