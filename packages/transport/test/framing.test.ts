import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { concatBytes, fromHex, isAtollError, toHex, utf8 } from '@atoll/core'
import { encodeFrame, type Frame, FrameDecoder } from '@atoll/transport'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const checked = (data: Uint8Array, seed?: number) => crc32(data, seed)
const limits = { maxHeadBytes: 1000, maxBodyBytes: 2000 }

const frames = fc.array(
  fc.record({
    head: fc.uint8Array({ maxLength: 90, size: 'max' }),
    body: fc.option(fc.uint8Array({ minLength: 1, maxLength: 300, size: 'max' }), { nil: undefined }),
  }),
  { maxLength: 6 },
)

/** Cuts bytes at the given places, each piece in memory of its own. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return at.slice(1).map((end, index) => bytes.slice(at[index], end))
}

function plain(frame: Frame) {
  return { head: toHex(frame.head), body: frame.body && toHex(frame.body) }
}

describe('framing', () => {
  test('gives back any frames from pieces of any size, with and without checksums', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 12 }), fc.boolean(), (sent, places, withCrc) => {
        const bytes = concatBytes(sent.flatMap((frame) => encodeFrame(frame, withCrc ? checked : undefined)))
        const decoder = new FrameDecoder(limits, checked)
        const arrived = cut(bytes, places).flatMap((piece) => decoder.push(piece))
        decoder.end()
        expect(arrived.map(plain)).toEqual(sent.map(plain))
      }),
    )
  })

  test('meets random bytes with an error or with patience, never with anything else', () => {
    const noise = fc.tuple(
      fc.constantFrom('', '41', '4174', '417401', '41740100', '4174010000000002'),
      fc.uint8Array(),
    )
    fc.assert(
      fc.property(fc.array(noise, { maxLength: 8 }), (pieces) => {
        const decoder = new FrameDecoder(limits, checked)
        try {
          for (const [prefix, rest] of pieces) {
            for (const frame of decoder.push(concatBytes([fromHex(prefix), rest]))) {
              if (frame.head.length > limits.maxHeadBytes) expect.fail('a head over the limit')
              if ((frame.body?.length ?? 0) > limits.maxBodyBytes) expect.fail('a body over the limit')
            }
          }
        } catch (error) {
          if (!isAtollError(error)) throw error
        }
      }),
      { numRuns: 1000 },
    )
  })

  test('notices any one changed byte of a frame with a checksum', () => {
    const bytes = concatBytes(encodeFrame({ head: utf8('head'), body: utf8('and body') }, checked))
    for (let at = 0; at < bytes.length; at++) {
      const damaged = bytes.slice()
      damaged[at] = (damaged[at] ?? 0) ^ 0x40
      const decoder = new FrameDecoder({ maxHeadBytes: 100, maxBodyBytes: 100 }, checked)
      expect(() => {
        decoder.push(damaged)
        decoder.end()
      }, `byte ${at}`).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/TOO_LARGE|PROTOCOL|CORRUPT/) }),
      )
    }
  })

  test('refuses what is too large before it is there, and stays refusing', () => {
    const [prologue] = encodeFrame({ head: new Uint8Array(4), body: new Uint8Array(2001) })
    const decoder = new FrameDecoder(limits)
    expect(() => decoder.push(prologue!)).toThrow(expect.objectContaining({ code: 'ATOLL_TOO_LARGE' }))
    expect(() => decoder.push(new Uint8Array(1))).toThrow(
      expect.objectContaining({ code: 'ATOLL_TOO_LARGE' }),
    )
    const [other] = encodeFrame({ head: new Uint8Array(1001) })
    expect(() => new FrameDecoder(limits).push(other!)).toThrow(
      expect.objectContaining({ code: 'ATOLL_TOO_LARGE' }),
    )
  })

  test.each([
    ['another magic', '4175010000000000'],
    ['another version', '4174020000000000'],
    ['an unknown flag', '4174018000000000'],
  ])('refuses %s', (_what, hex) => {
    const decoder = new FrameDecoder(limits)
    const bytes = concatBytes([fromHex(hex), new Uint8Array(8)])
    expect(() => decoder.push(bytes)).toThrow(expect.objectContaining({ code: 'ATOLL_PROTOCOL' }))
  })

  test('notices where the bytes end too early', () => {
    const bytes = concatBytes(encodeFrame({ head: utf8('head'), body: utf8('body') }))
    for (let length = 0; length <= bytes.length; length++) {
      const decoder = new FrameDecoder(limits)
      decoder.push(bytes.slice(0, length))
      if (length === 0 || length === bytes.length) decoder.end()
      else
        expect(() => decoder.end(), `${length} bytes`).toThrow(
          expect.objectContaining({ code: 'ATOLL_PROTOCOL' }),
        )
    }
  })

  test('keeps nothing of a piece that is only lent', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(), { maxLength: 12 }), (sent, places) => {
        const bytes = concatBytes(sent.flatMap((frame) => encodeFrame(frame)))
        const decoder = new FrameDecoder(limits)
        const arrived = cut(bytes, places).flatMap((piece) => {
          const complete = decoder.push(piece, true)
          piece.fill(0xdd)
          return complete
        })
        expect(arrived.map(plain)).toEqual(sent.map(plain))
      }),
    )
  })

  test('copies no body that fills its piece, and does not hold a large piece for a small body', () => {
    const body = new Uint8Array(1000)
    const parts = encodeFrame({ head: utf8('h'), body })
    expect(parts[2]).toBe(body)
    const large = concatBytes(parts)
    expect(new FrameDecoder(limits).push(large)[0]?.body?.buffer).toBe(large.buffer)
    const small = concatBytes([
      ...encodeFrame({ head: utf8('h'), body: utf8('small') }),
      ...encodeFrame({ head: body }),
    ])
    expect(new FrameDecoder(limits).push(small)[0]?.body?.buffer.byteLength).toBe(5)
  })

  test('opens what version 1 wrote', () => {
    const golden = readFileSync(new URL('golden/frame-1.hex', import.meta.url), 'utf8').trim()
    expect(toHex(concatBytes(encodeFrame({ head: utf8('head'), body: utf8('body') }, checked)))).toBe(golden)
    const [frame] = new FrameDecoder(limits, checked).push(fromHex(golden))
    expect(frame && plain(frame)).toEqual({ head: toHex(utf8('head')), body: toHex(utf8('body')) })
  })
})
