import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { continuing } from '../src/index.ts'

const EMPTY = [
  new Uint8Array(0),
  new Uint8Array(new ArrayBuffer(0)),
  Buffer.alloc(0),
  Buffer.concat([]),
  new Uint8Array(100_000).subarray(5, 5),
  new TextEncoder().encode(''),
]

test('no bytes leave a sum as it is, whatever memory they have', () => {
  const sum = continuing(crc32)
  for (const bytes of EMPTY) {
    expect(sum(bytes, 7)).toBe(7)
    expect(sum(bytes)).toBe(0)
  }
})

test('bytes are summed as before', () => {
  const sum = continuing(crc32)
  const bytes = new TextEncoder().encode('123456789')
  expect(sum(bytes)).toBe(0xcbf43926)
  expect(sum(bytes.subarray(4), sum(bytes.subarray(0, 4)))).toBe(0xcbf43926)
})
