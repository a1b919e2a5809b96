import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeWith,
  encodeTuple,
  encodeWith,
  fromHex,
  isAtollError,
  type TupleCodec,
  TupleReader,
  type TupleValue,
  toHex,
  utf8,
} from '../src/index.ts'

interface Island {
  readonly name: string
  readonly palms: number
  readonly heightM: number
  readonly inhabited: boolean
  readonly flag: Uint8Array
  readonly capital: string | undefined
  readonly bays: readonly { readonly name: string; readonly depth: number }[]
}

/** One field of every kind. Version 1 had no capital, and version 2 kept the height in centimetres. */
const codec: TupleCodec<Island> = {
  name: 'an island',
  version: 3,
  encode: ({ name, palms, heightM, inhabited, flag, capital, bays }) => [
    name,
    palms,
    heightM,
    inhabited,
    flag,
    capital ?? null,
    bays.map((bay) => [bay.name, bay.depth]),
  ],
  decode: (reader) => ({
    name: reader.string(),
    palms: reader.uint(),
    heightM: reader.number(),
    inhabited: reader.boolean(),
    flag: reader.bytes(),
    capital: reader.optional((item) => item.string()),
    bays: reader.list((item) => {
      const bay = item.tuple()
      const read = { name: bay.string(), depth: bay.uint() }
      bay.end()
      return read
    }),
  }),
  migrations: {
    1: (v1) => [v1.string(), v1.uint(), v1.number(), v1.boolean(), v1.bytes(), null, []],
    2: (v2) => {
      const [name, palms, heightCm] = [v2.string(), v2.uint(), v2.number()]
      const rest: TupleValue[] = [v2.boolean(), v2.bytes(), v2.optional((item) => item.string()) ?? null]
      return [name, palms, heightCm / 100, ...rest, v2.list((item) => [item.string(), 0])]
    },
  },
}

const MOOREA: Island = {
  name: 'Mo’orea',
  palms: 2 ** 40,
  heightM: 1206.5,
  inhabited: true,
  flag: fromHex('00ff'),
  capital: undefined,
  bays: [{ name: 'Cook', depth: 70 }],
}

const corrupt = expect.objectContaining({ code: 'ATOLL_CORRUPT' })

describe('a codec', () => {
  it('gives back what it got', () => {
    expect(decodeWith(codec, encodeWith(codec, MOOREA))).toEqual(MOOREA)
    const named = { ...MOOREA, capital: '', bays: [] }
    expect(decodeWith(codec, encodeWith(codec, named))).toEqual(named)
  })

  it('writes a version byte, then msgpack, in a fresh array of the exact size', () => {
    const bytes = encodeWith(codec, MOOREA)
    const golden = readFileSync(new URL('golden/island-v3.hex', import.meta.url), 'utf8').trim()
    expect(toHex(bytes)).toBe(golden)
    expect(bytes.buffer.byteLength).toBe(bytes.length)
    expect(bytes[0]).toBe(3)
  })

  it('opens what every older version wrote', () => {
    const v1 = encodeTuple(1, ['Tetiaroa', 5, 300, false, utf8('f')])
    const v2 = encodeTuple(2, ['Tetiaroa', 5, 300, false, utf8('f'), 'Onetahi', ['Lagoon']])
    const island = { name: 'Tetiaroa', palms: 5, heightM: 3, inhabited: false, flag: utf8('f') }
    expect(decodeWith(codec, v1)).toEqual({ ...island, capital: undefined, bays: [] })
    expect(decodeWith(codec, v2)).toEqual({
      ...island,
      capital: 'Onetahi',
      bays: [{ name: 'Lagoon', depth: 0 }],
    })
  })

  it('says of a newer version which one it reads', () => {
    const newer = encodeTuple(4, [])
    expect(() => decodeWith(codec, newer)).toThrow(expect.objectContaining({ code: 'ATOLL_FORMAT' }))
    expect(() => decodeWith(codec, newer)).toThrow(/an island has version 4; .* version 3/)
  })

  it('refuses a version that was never written, and no bytes at all', () => {
    expect(() => decodeWith(codec, encodeTuple(0, []))).toThrow(corrupt)
    expect(() => decodeWith(codec, new Uint8Array(0))).toThrow(corrupt)
  })

  it('refuses fields too many, in old versions too', () => {
    const fields = codec.encode(MOOREA)
    expect(() => decodeWith(codec, encodeTuple(3, [...fields, 1]))).toThrow(/1 fields too many/)
    expect(() => decodeWith(codec, encodeTuple(1, ['T', 5, 1, false, utf8(''), 'extra']))).toThrow(corrupt)
  })

  it('refuses every tuple that ends too early', () => {
    const fields = codec.encode(MOOREA)
    for (let length = 0; length < fields.length; length++) {
      expect(() => decodeWith(codec, encodeTuple(3, fields.slice(0, length)))).toThrow(/it ends too early/)
    }
  })

  it.each<[number, TupleValue, string]>([
    [0, 7, 'a string, got 7'],
    [1, -1, 'an unsigned integer, got -1'],
    [1, 1.5, 'an unsigned integer, got 1.5'],
    [1, 2 ** 53, 'an unsigned integer'],
    [2, '7', 'a number, got "7"'],
    [3, 1, 'a boolean, got 1'],
    [4, 'text', 'bytes, got "text"'],
    [5, [], 'a string, got an array'],
    [6, utf8('abc'), 'a tuple, got 3 bytes'],
  ])('names field %i when it is %j', (at, value, expected) => {
    const fields = codec.encode(MOOREA).map((field, other) => (other === at ? value : field))
    const decode = () => decodeWith(codec, encodeTuple(3, fields))
    expect(decode).toThrow(corrupt)
    expect(decode).toThrow(expected)
  })

  it('reads a list up to its limit, which is 65,536 items unless its reader says another', () => {
    const list = (length: number) => new TupleReader('a list', [new Array<number>(length).fill(7)])
    const item = (reader: TupleReader) => reader.uint()
    expect(list(3).list(item, 3)).toEqual([7, 7, 7])
    expect(list(65_536).list(item)).toHaveLength(65_536)
    for (const read of [() => list(4).list(item, 3), () => list(65_537).list(item)])
      expect(read).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
  })

  it('fails in no other way, whatever the bytes are', () => {
    const whole = encodeWith(codec, MOOREA)
    const changed = fc.record({ at: fc.nat(whole.length - 1), byte: fc.nat(255) }).map(({ at, byte }) => {
      const bytes = whole.slice()
      bytes[at] = byte
      return bytes
    })
    const random = fc
      .tuple(fc.nat(4), fc.uint8Array())
      .map(([version, rest]) => Uint8Array.of(version, ...rest))
    fc.assert(
      fc.property(fc.oneof(changed, random), (bytes) => {
        try {
          decodeWith(codec, bytes)
        } catch (error) {
          if (!isAtollError(error, 'ATOLL_CORRUPT') && !isAtollError(error, 'ATOLL_FORMAT')) throw error
        }
      }),
      { numRuns: 3000 },
    )
  })
})
