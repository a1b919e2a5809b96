import { createHash } from 'node:crypto'
import { type KeyId, toHex, utf8 } from '@atoll/core'
import { partitionOf, placementHash, responsiblePartition } from '@atoll/ring'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const id = (type: string, bucket: string, key: string): KeyId => ({
  type,
  bucket: utf8(bucket),
  key: utf8(key),
})
const nodeSha1 = (data: Uint8Array): Uint8Array => createHash('sha1').update(data).digest()

const anyId: fc.Arbitrary<KeyId> = fc.record({
  type: fc.constantFrom('default', 'maps', 'b'),
  bucket: fc.uint8Array({ minLength: 1, maxLength: 300 }),
  key: fc.uint8Array({ minLength: 1, maxLength: 70_000 }),
})

/** The definition, in big integers: ((h div inc) + 1) mod Q. */
function byDefinition(hash: Uint8Array, partitions: number): number {
  const increment = 2n ** 160n / BigInt(partitions)
  return Number((BigInt(`0x${toHex(hash)}`) / increment + 1n) % BigInt(partitions))
}

describe('placement of a key', () => {
  it.each([
    [id('default', 'test', 'mykey'), 'c8d604c739b6d09d9eb5ab85a9dff001b2f2fa51', 51],
    [id('maps', 'customers', 'ahmed_info'), 'db707586acc6b5699d8a51ca01b370a9be9eb41e', 55],
    [id('default', 'b', 'k'), '6c38d93a', 28],
  ])('is that of Riak: vector %#', (key, hash, partition) => {
    expect(toHex(placementHash(key)).slice(0, hash.length)).toBe(hash)
    expect(responsiblePartition(placementHash(key), 64)).toBe(partition)
    expect(partitionOf(key, 64)).toBe(partition)
    expect(partitionOf(key, 64, nodeSha1)).toBe(partition)
  })

  it('is that of its place, if it has one', () => {
    fc.assert(
      fc.property(anyId, fc.uint8Array({ minLength: 1, maxLength: 300 }), (key, place) => {
        const there = toHex(placementHash({ ...key, key: place }))
        expect(toHex(placementHash({ ...key, place }))).toBe(there)
        expect(partitionOf({ ...key, place }, 64)).toBe(partitionOf({ ...key, key: place }, 64))
      }),
    )
  })

  it('is the same with any SHA-1', () => {
    fc.assert(
      fc.property(anyId, (key) => {
        expect(toHex(placementHash(key))).toBe(toHex(placementHash(key, nodeSha1)))
      }),
      { numRuns: 50 },
    )
  })

  it('is on the next boundary above the hash, in rings of every size', () => {
    const sizes = [8, 16, 32, 64, 128, 256, 512, 1024]
    const edges = ['00', 'ff', '1fff', '2000', '7fff', 'ffbf', 'ffc0', 'ffdf'].map((head) =>
      Uint8Array.from(Buffer.from(head.padEnd(40, head.endsWith('f') ? 'f' : '0'), 'hex')),
    )
    for (const hash of edges) {
      for (const size of sizes) expect(responsiblePartition(hash, size)).toBe(byDefinition(hash, size))
    }
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        fc.constantFrom(...sizes),
        (hash, size) => {
          expect(responsiblePartition(hash, size)).toBe(byDefinition(hash, size))
        },
      ),
    )
  })

  it('refuses what is no hash and no ring size', () => {
    const hash = new Uint8Array(20)
    expect(() => responsiblePartition(new Uint8Array(19), 64)).toThrow(RangeError)
    expect(() => responsiblePartition(hash, 63)).toThrow('power of two, got 63')
    expect(() => responsiblePartition(hash, 4)).toThrow(RangeError)
    expect(() => responsiblePartition(hash, 2048)).toThrow(RangeError)
  })
})
