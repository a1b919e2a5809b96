import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareBytes, endOfBytes, fromUtf8, groupOf, startsWithBytes, utf8 } from '../src/index.ts'

const few = fc.uint8Array({ max: 2, maxLength: 5 })

test('the end of a prefix is the least that is greater than all that begin with it', () => {
  expect(endOfBytes(new Uint8Array([1, 2]))).toEqual(new Uint8Array([1, 3]))
  expect(endOfBytes(new Uint8Array([1, 0xff, 0xff]))).toEqual(new Uint8Array([2]))
  expect(endOfBytes(new Uint8Array([0xff]))).toBeUndefined()
  expect(endOfBytes(new Uint8Array(0))).toBeUndefined()
  fc.assert(
    fc.property(few, few, (prefix, other) => {
      const end = endOfBytes(prefix)
      if (end === undefined) return
      expect(compareBytes(prefix, end)).toBeLessThan(0)
      const isBefore = compareBytes(other, prefix) < 0
      expect(startsWithBytes(other, prefix)).toBe(!isBefore && compareBytes(other, end) < 0)
    }),
  )
})

test('a group is what a text shows up to the first delimiter behind the prefix', () => {
  const text = fc.string({ unit: fc.constantFrom('a', '/', '-', '\0', 'ÿ', '🏝'), maxLength: 6 })
  fc.assert(
    fc.property(text, text, fc.constantFrom('/', '--', 'a/', '🏝'), (term, prefix, delimiter) => {
      const at = term.startsWith(prefix) ? term.indexOf(delimiter, prefix.length) : -1
      const expected = at < 0 ? undefined : term.slice(0, at + delimiter.length)
      const group = groupOf(utf8(term), { prefix: utf8(prefix), delimiter: utf8(delimiter) })
      expect(group === undefined ? undefined : fromUtf8(group)).toBe(expected)
    }),
  )
})
