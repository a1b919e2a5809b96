import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { combineCrc32, leadingCrc32 } from '../src/index.ts'

test('sums of two stretches combine to the sum of both, and give back that of each', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }), (first, second) => {
      const both = crc32(Buffer.concat([first, second]))
      expect(combineCrc32(crc32(first), crc32(second), second.length)).toBe(both)
      expect(combineCrc32(crc32(first), both, second.length)).toBe(crc32(second))
      expect(leadingCrc32(both, crc32(second), second.length)).toBe(crc32(first))
    }),
  )
})

test('sums are the same however many lengths came before', () => {
  const bytes = Buffer.from(Array.from({ length: 500 }, (_, at) => (at * 131) % 251))
  const both = crc32(bytes)
  for (let round = 0; round < 3; round++) {
    for (let at = 0; at <= bytes.length; at++) {
      const [first, second] = [bytes.subarray(0, at), bytes.subarray(at)].map((part) =>
        crc32(Buffer.from(part)),
      )
      if (first === undefined || second === undefined) throw new Error('there are two parts')
      expect(combineCrc32(first, second, bytes.length - at)).toBe(both)
      expect(leadingCrc32(both, second, bytes.length - at)).toBe(first)
    }
  }
})

test('a sum that began with a seed is combined from it', () => {
  const bytes = Buffer.from('123456789')
  for (const seed of [0, 1, 0xcbf43926, 0xffffffff]) {
    expect(combineCrc32(seed, crc32(bytes), bytes.length)).toBe(crc32(bytes, seed))
  }
  expect(crc32(bytes)).toBe(0xcbf43926)
})

test('long stretches are no harder than short ones', () => {
  const zeros = Buffer.alloc(1024 * 1024)
  let sum = crc32(Buffer.from('begin'))
  let combined = sum
  for (let mebibyte = 0; mebibyte < 64; mebibyte++) sum = crc32(zeros, sum)
  const ofZeros = (count: number) => {
    let crc = 0
    for (let n = 0; n < count; n++) crc = crc32(zeros, crc)
    return crc
  }
  combined = combineCrc32(combined, ofZeros(64), 64 * zeros.length)
  expect(combined).toBe(sum)
  // 8 GiB: x to a power beyond 32 bits.
  const half = 4 * 1024 ** 3
  const once = combineCrc32(combineCrc32(7, 9, half), 11, half)
  expect(once).toBe(combineCrc32(7, combineCrc32(9, 11, half), 2 * half))
})
