import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fastestCrc32, nativeCrc32 } from '../src/crc32.ts'

/** The platforms that this project is tested on have a binary: without this the native half would pass unseen. */
test('a binary with vector instructions is there', () => {
  expect(nativeCrc32()).toBeTypeOf('function')
})

describe.each([
  ['the binary', fastestCrc32(nativeCrc32)],
  ['zlib', fastestCrc32(() => undefined)],
])('by %s', (_, crc32) => {
  test('the check value', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926)
  })

  test('equals zlib for any bytes at any offset, continued from any sum', () => {
    const length = fc.oneof(fc.integer({ min: 0, max: 600 }), fc.integer({ min: 0, max: 200_000 }))
    fc.assert(
      fc.property(length, fc.nat(17), fc.option(fc.nat(0xffff_ffff)), (bytes, offset, seed) => {
        const data = filled(bytes + offset).subarray(offset)
        const expected = bytes === 0 ? (seed ?? 0) : zlibCrc32(data, seed ?? undefined)
        expect(crc32(data, seed ?? undefined)).toBe(expected)
      }),
    )
  })

  test('a sum goes on over any cut', () => {
    const bytes = filled(100_000)
    const whole = crc32(bytes)
    for (const cut of [0, 1, 255, 256, 257, 65_536, 99_999, 100_000]) {
      expect(crc32(bytes.subarray(cut), crc32(bytes.subarray(0, cut)))).toBe(whole)
    }
  })
})

test.each([
  ['is there', (bytes: Uint8Array, seed?: number) => zlibCrc32(bytes, seed)],
  ['is missing', undefined],
])('a binary that %s is looked for once, by the first sum that it is for', (_, binary) => {
  let looks = 0
  const crc32 = fastestCrc32(() => {
    looks += 1
    return binary
  })
  expect(crc32(filled(255))).toBe(zlibCrc32(filled(255)))
  expect(looks).toBe(0)
  for (const length of [256, 100_000]) expect(crc32(filled(length))).toBe(zlibCrc32(filled(length)))
  expect(looks).toBe(1)
})

function filled(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let at = 0, x = length + 1; at < length; at++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0
    bytes[at] = x >>> 24
  }
  return bytes
}
