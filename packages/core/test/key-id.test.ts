import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  checkKeyId,
  decodeWith,
  encodeWith,
  type KeyId,
  packKeyId,
  placeOf,
  type TupleCodec,
  unpackKeyId,
  utf8,
} from '../src/index.ts'

const bytes = fc.uint8Array({ minLength: 1, maxLength: 20 })
const anyId: fc.Arbitrary<KeyId> = fc
  .record({ type: fc.constantFrom('default', 'b'), bucket: bytes, key: bytes, place: fc.option(bytes) })
  .map(({ place, ...id }) => (place === null ? id : { ...id, place }))

const codec: TupleCodec<KeyId> = {
  name: 'an id',
  version: 1,
  encode: packKeyId,
  decode: (reader) => unpackKeyId(reader),
}

/** What a program from before there were places reads. */
const codecOfBefore: TupleCodec<KeyId> = {
  ...codec,
  decode: (reader) => ({ type: reader.string(), bucket: reader.bytes(), key: reader.bytes() }),
}

describe('the id of a record', () => {
  it('comes out of a message as it went in; a place that equals the key is none', () => {
    fc.assert(
      fc.property(anyId, (id) => {
        const place = placeOf(id)
        const { type, bucket, key } = id
        const expected = place === undefined ? { type, bucket, key } : { type, bucket, key, place }
        expect(decodeWith(codec, encodeWith(codec, id))).toEqual(expected)
      }),
    )
  })

  it('is read by a program from before there were places, or refused: never taken for another', () => {
    fc.assert(
      fc.property(anyId, (id) => {
        const packed = encodeWith(codec, id)
        const read = () => decodeWith(codecOfBefore, packed)
        if (placeOf(id) !== undefined)
          expect(read).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
        else expect(read()).toEqual({ type: id.type, bucket: id.bucket, key: id.key })
      }),
    )
  })

  it.each([
    ['of no bytes', new Uint8Array(0)],
    ['of too many', new Uint8Array(4097)],
  ])('has no place %s', (_, place) => {
    const id = { type: 'default', bucket: utf8('b'), key: utf8('k'), place }
    expect(() => checkKeyId(id)).toThrow('place must have 1 to 4096 bytes')
    const packed = encodeWith({ ...codec, encode: () => ['default', id.bucket, [id.key, place]] }, id)
    expect(() => decodeWith(codec, packed)).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT' }))
  })
})
