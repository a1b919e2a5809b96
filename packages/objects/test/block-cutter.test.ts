import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BlockCutter, type Cutting } from '../src/block-cutter.ts'
import { pattern } from './bodies.ts'

function cut(
  chunks: readonly Uint8Array[],
  blockBytes: number,
  cutting: Cutting = { staying: true },
): Uint8Array[] {
  const cutter = new BlockCutter(blockBytes, cutting)
  const blocks = chunks.flatMap((chunk) => [...cutter.push(chunk)])
  const last = cutter.end()
  return last === undefined ? blocks : [...blocks, last]
}

test('any chunks become blocks of one size, the last one shorter, with every byte in its place', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(30), { maxLength: 12 }),
      fc.integer({ min: 1, max: 12 }),
      fc.boolean(),
      fc.option(fc.constantFrom(0, 1, 40), { nil: undefined }),
      (lengths, blockBytes, staying, more) => {
        const body = pattern(lengths.reduce((a, b) => a + b, 0))
        const knownBytes = more === undefined ? undefined : body.length + more
        const starts = lengths.map((_, n) => lengths.slice(0, n).reduce((a, b) => a + b, 0))
        const chunks = lengths.map((length, n) => body.subarray(starts[n], (starts[n] ?? 0) + length))
        const blocks = cut(chunks, blockBytes, { staying, knownBytes })
        expect(Buffer.concat(blocks).equals(body)).toBe(true)
        expect(blocks.slice(0, -1).every(({ length }) => length === blockBytes)).toBe(true)
        expect(blocks.length).toBe(Math.ceil(body.length / blockBytes))
      },
    ),
    { numRuns: 500 },
  )
})

test('a block is nobody else’s: what becomes of the chunks thereafter does not matter', () => {
  const body = pattern(4096 * 3 + 100)
  const inOne = Buffer.from(body)
  const [one, two] = [Buffer.from(body.subarray(0, 100)), Buffer.from(body.subarray(100))]
  const cuts = [cut([inOne], 4096), cut([one, two], 4096)]
  for (const chunk of [inOne, one, two]) chunk.fill(0)
  for (const blocks of cuts) expect(Buffer.concat(blocks).equals(body)).toBe(true)
})

test('of chunks that pass nothing is looked at when the next one is pushed', () => {
  const body = pattern(4096 * 3 + 100)
  for (const chunkBytes of [1, 100, 4095, 4096, 4097, 9000, body.length]) {
    for (const knownBytes of [undefined, body.length]) {
      const cutter = new BlockCutter(4096, { staying: false, knownBytes })
      const blocks: Uint8Array[] = []
      for (let at = 0; at < body.length; at += chunkBytes) {
        const chunk = body.slice(at, at + chunkBytes)
        for (const block of cutter.push(chunk)) blocks.push(block)
        chunk.fill(0)
      }
      const last = cutter.end()
      if (last !== undefined) blocks.push(last)
      expect(Buffer.concat(blocks).equals(body)).toBe(true)
    }
  }
})
