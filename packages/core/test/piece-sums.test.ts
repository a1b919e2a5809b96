import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { PIECE_BYTES, piecesOf, sumForGood } from '../src/index.ts'

const bytesOf = (length: number) => new Uint8Array(length).map((_, at) => (at * 31 + (at >> 8)) & 255)

test.each([PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES - 1, 3 * PIECE_BYTES])(
  '%i bytes are remembered with the sums of their pieces',
  (length) => {
    const bytes = bytesOf(length)
    expect(piecesOf(bytes)).toBeUndefined()
    expect(sumForGood(bytes, crc32)).toBe(crc32(bytes))
    const pieces: number[] = []
    for (let at = 0; at < length; at += PIECE_BYTES) pieces.push(crc32(bytes.subarray(at, at + PIECE_BYTES)))
    expect(piecesOf(bytes)).toEqual({ whole: crc32(bytes), pieces })
  },
)

test('only the very same object is known, and a small one is not', () => {
  const bytes = bytesOf(2 * PIECE_BYTES)
  sumForGood(bytes, crc32)
  expect(piecesOf(bytes.subarray())).toBeUndefined()
  const small = bytesOf(PIECE_BYTES - 1)
  expect(sumForGood(small, crc32)).toBe(crc32(small))
  expect(piecesOf(small)).toBeUndefined()
})
