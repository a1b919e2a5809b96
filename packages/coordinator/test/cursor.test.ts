import { readFileSync } from 'node:fs'
import { fromHex, toHex, utf8 } from '@atoll/core'
import { expect, test } from 'vitest'
import { decodeCursor, encodeCursor } from '../src/cursor.ts'

const position = { term: utf8('photos/2024'), bucket: utf8('b'), key: Uint8Array.of(0, 255) }
const golden = readFileSync(new URL('golden/cursor-1.hex', import.meta.url), 'utf8').trim()

test('a cursor is written as it always was, and old ones open', () => {
  expect(toHex(encodeCursor(position))).toBe(golden)
  expect(decodeCursor(fromHex(golden))).toEqual(position)
})

test('anything else is refused', () => {
  expect(() => decodeCursor(utf8('page 2'))).toThrow(/the cursor/)
  expect(() => decodeCursor(fromHex(golden).subarray(0, 9))).toThrow(/the cursor cannot be read/)
  const newer = fromHex(golden)
  newer[0] = 2
  expect(() => decodeCursor(newer)).toThrow(/version 2/)
})
