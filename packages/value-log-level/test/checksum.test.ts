import { crc32 } from 'node:zlib'
import { sumForGood } from '@atoll/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CHUNK_BYTES, tableBytes, writeTable, writeTableOfTwo } from '../src/checksum.ts'

const SEED = 0xdecade

/** The table of a value in two parts, and how many bytes were read for it. */
function tableOf(head: Uint8Array, tail: Uint8Array, tailCrc32: number | undefined) {
  let readBytes = 0
  const counting = (bytes: Uint8Array | string, seed?: number) => {
    readBytes += bytes.length
    return crc32(bytes, seed)
  }
  const target = Buffer.alloc(tableBytes(head.length + tail.length))
  writeTableOfTwo(counting, { head, tail, tailCrc32 }, { seed: SEED, target, at: 0 })
  return { target, readBytes }
}

function expected(head: Uint8Array, tail: Uint8Array): Buffer {
  const value = Buffer.concat([head, tail])
  const target = Buffer.alloc(tableBytes(value.length))
  writeTable(crc32, value, { seed: SEED, target, at: 0 })
  return target
}

const patternOf = (length: number) => new Uint8Array(length).map((_, at) => (at * 37 + (at >> 7)) & 255)

describe('the table of a value in two parts', () => {
  const lengths = [CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES - 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES - 60]

  test('is that of the value in one, whether or not its sums were known', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.constantFrom(0, 1, 60, CHUNK_BYTES - 1), fc.nat(CHUNK_BYTES - 1)),
        fc.oneof(fc.constantFrom(...lengths), fc.integer({ min: CHUNK_BYTES, max: 3 * CHUNK_BYTES })),
        (headBytes, tailBytes) => {
          const head = patternOf(headBytes)
          const tail = patternOf(tailBytes)
          const table = expected(head, tail)
          expect(tableOf(head, tail, undefined).target).toEqual(table)
          const summed = tail.slice()
          expect(tableOf(head, summed, sumForGood(summed, crc32)).target).toEqual(table)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('costs no second look at bytes that were summed for good, and none again for another log', () => {
    const [head, tail] = [patternOf(60), patternOf(16 * CHUNK_BYTES)]
    const sum = sumForGood(tail, crc32)
    expect(tableOf(head, tail, sum).readBytes).toBeLessThan(20 * 60)
    expect(tableOf(head, tail, sum).readBytes).toBeLessThan(2 * 60)
  })

  test('is made from the bytes if what is remembered of them is not what the caller expects', () => {
    const [head, tail] = [patternOf(60), patternOf(2 * CHUNK_BYTES)]
    sumForGood(tail, crc32)
    tail[5] = 99
    expect(tableOf(head, tail, crc32(tail)).target).toEqual(expected(head, tail))
    expect(tableOf(head, tail, undefined).target).toEqual(expected(head, tail))
  })
})
