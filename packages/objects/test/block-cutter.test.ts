import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BlockCutter } from '../src/block-cutter.ts'
import { pattern } from './bodies.ts'

function cut(chunks: readonly Uint8Array[], blockBytes: number): Uint8Array[] {
  const cutter = new BlockCutter(blockBytes)
  const blocks = chunks.flatMap((chunk) => [...cutter.push(chunk)])
  const last = cutter.end()
  return last === undefined ? blocks : [...blocks, last]
}

test('any chunks become blocks of one size, the last one shorter, with every byte in its place', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(30), { maxLength: 12 }),
      fc.integer({ min: 1, max: 12 }),
      (lengths, blockBytes) => {
        const body = pattern(lengths.reduce((a, b) => a + b, 0))
        const starts = lengths.map((_, n) => lengths.slice(0, n).reduce((a, b) => a + b, 0))
        const chunks = lengths.map((length, n) => body.subarray(starts[n], (starts[n] ?? 0) + length))
        const blocks = cut(chunks, blockBytes)
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
