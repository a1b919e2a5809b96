import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareBytes, concatBytes, equalBytes, fromHex, fromUtf8, toHex, utf8 } from '../src/index.ts'

const bytes = fc.uint8Array({ maxLength: 6, max: 3 })

describe('bytes', () => {
  it('compare as their hexadecimal digits do', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        const [x, y] = [toHex(a), toHex(b)]
        expect(Math.sign(compareBytes(a, b))).toBe(x === y ? 0 : x < y ? -1 : 1)
        expect(equalBytes(a, b)).toBe(x === y)
      }),
      { numRuns: 1000 },
    )
  })

  it('compare unsigned: 255 is after 1', () => {
    expect(compareBytes(Uint8Array.of(255), Uint8Array.of(1))).toBeGreaterThan(0)
  })

  it('join to a copy of all parts', () => {
    fc.assert(
      fc.property(fc.array(bytes), (parts) => {
        expect(toHex(concatBytes(parts))).toBe(parts.map(toHex).join(''))
      }),
    )
    const part = utf8('part')
    expect(concatBytes([part]).buffer).not.toBe(part.buffer)
  })

  it('go to hexadecimal digits and back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (any) => {
        expect(toHex(any)).toBe(Buffer.from(any).toString('hex'))
        expect(fromHex(toHex(any).toUpperCase())).toEqual(any)
      }),
    )
  })

  it.each(['a', 'zz', '0g', '00 ', '0x00', `00${'a'.repeat(10_000)}!`])('are not made from %j', (text) => {
    expect(() => fromHex(text)).toThrow(TypeError)
    expect(() => fromHex(text)).toThrow(/^.{0,150}$/)
  })

  it('go from text and back, a byte order mark included', () => {
    for (const text of ['', 'größe', '\ufeffmark', '😀']) expect(fromUtf8(utf8(text))).toBe(text)
  })

  it('are not read as text unless they are UTF-8', () => {
    for (const hex of ['ff', 'c3', 'eda080', 'c080']) expect(() => fromUtf8(fromHex(hex))).toThrow(TypeError)
  })
})
