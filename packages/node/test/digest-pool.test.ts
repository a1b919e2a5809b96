import { createHash, randomBytes } from 'node:crypto'
import type { StreamAlgorithm } from '@atoll/core'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { DigestPool } from '../src/digest-pool.ts'
import { DigestThread } from '../src/digest-thread.ts'
import { DIGEST_RING } from '../src/digest-worker.ts'

/** Two slots of 64 KiB: streams have to wait for each other. */
const SMALL = { workers: 1, inlineBelowBytes: 0, bufferBytes: 128 * 1024 }

type Chunks = readonly Uint8Array[]

async function digestOf(pool: DigestPool, algorithm: StreamAlgorithm, chunks: Chunks): Promise<string> {
  const stream = pool.stream(algorithm)
  for (const chunk of chunks) {
    // It is the caller's again as soon as the update is done.
    const given = new Uint8Array(chunk)
    await stream.update(given)
    given.fill(0xdd)
  }
  return Buffer.from(await stream.digest()).toString('hex')
}

function expected(algorithm: StreamAlgorithm, chunks: Chunks): string {
  return createHash(algorithm).update(Buffer.concat(chunks)).digest('hex')
}

const algorithms = fc.constantFrom('md5' as const, 'sha256' as const)
/** Lengths around the block, the padding, the slot and more. */
const lengths = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 0, max: 5000 }),
  fc.integer({ min: 65_400, max: 65_700 }),
  fc.integer({ min: 0, max: 300_000 }),
)

describe.each([
  ['in step', new DigestPool({ workers: 1, inlineBelowBytes: 0 })],
  ['in step, with little memory', new DigestPool(SMALL)],
  ['one after the other, as without vectors', new DigestPool({ ...SMALL, inStep: false })],
  ['on two threads with the usual memory', new DigestPool({ workers: 2, inlineBelowBytes: 1000 })],
])('digests %s', (_, pool) => {
  afterAll(() => pool.close())

  test.each([
    // RFC 1321, section A.5
    ['', 'd41d8cd98f00b204e9800998ecf8427e'],
    ['a', '0cc175b9c0f1b6a831c399e269772661'],
    ['abc', '900150983cd24fb0d6963f7d28e17f72'],
    ['message digest', 'f96b697d7cb7938d525a2f31aaf161d0'],
    ['abcdefghijklmnopqrstuvwxyz', 'c3fcd3d76192e4007dfb496cca67e13b'],
    ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', 'd174ab98d277d9f5a5611c2c9f419d9f'],
    ['1234567890'.repeat(8), '57edf4a22be3c955ac49da2e2107b67a'],
  ])('MD5 of "%s" is that of the RFC', async (text, digest) => {
    expect(await digestOf(pool, 'md5', [Buffer.from(text)])).toBe(digest)
    expect(
      await digestOf(
        pool,
        'md5',
        [...text].map((letter) => Buffer.from(letter)),
      ),
    ).toBe(digest)
  })

  test('equal the plain ones for any number of streams of any lengths, cut into any chunks', async () => {
    const stream = fc.record({ algorithm: algorithms, lengths: fc.array(lengths, { maxLength: 6 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(stream, { minLength: 1, maxLength: 20 }), async (streams) => {
        const all = streams.map((one) => ({
          ...one,
          chunks: one.lengths.map((length) => randomBytes(length)),
        }))
        const found = await Promise.all(all.map((one) => digestOf(pool, one.algorithm, one.chunks)))
        expect(found).toEqual(all.map((one) => expected(one.algorithm, one.chunks)))
      }),
      { numRuns: 60 },
    )
  })

  test('of every length around a block', async () => {
    const bodies = Array.from({ length: 200 }, (_, length) => [randomBytes(length)])
    const digests = await Promise.all(bodies.map((chunks) => digestOf(pool, 'md5', chunks)))
    expect(digests).toEqual(bodies.map((chunks) => expected('md5', chunks)))
  })

  test('of chunks larger than all of the memory, and of many streams at once', async () => {
    const bodies = Array.from({ length: 12 }, (_, n) => [
      randomBytes(3_500_000 + n),
      randomBytes(1 << 20),
      randomBytes(7),
    ])
    const digests = await Promise.all(bodies.map((chunks) => digestOf(pool, 'md5', chunks)))
    expect(digests).toEqual(bodies.map((chunks) => expected('md5', chunks)))
  })

  test('of more slots than the ring has entries, while the thread falls asleep between them again and again', async () => {
    const [slots, pages] = [DIGEST_RING.entries + 300, randomBytes(256 * 1024)]
    const streams = Array.from({ length: 3 }, () => ({ stream: pool.stream('md5'), hash: createHash('md5') }))
    for (let n = 0; n < slots; n++) {
      const { stream, hash } = streams[n % streams.length] ?? expect.fail('there are three')
      // A slot takes up to 64 KiB.
      const chunk = pages.subarray(n, n + (n % 100 === 0 ? 65_536 : 64))
      await stream.update(chunk)
      hash.update(chunk)
      for (let turn = 0; turn < n % 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    for (const { stream, hash } of streams)
      expect(Buffer.from(await stream.digest()).toString('hex')).toBe(hash.digest('hex'))
  })

  test('leave the chunk to the caller: it may change as soon as update is done', async () => {
    const chunk = randomBytes(2_000_000)
    const before = createHash('md5').update(chunk).digest('hex')
    const stream = pool.stream('md5')
    await stream.update(chunk)
    chunk.fill(0)
    expect(Buffer.from(await stream.digest()).toString('hex')).toBe(before)
  })

  test('of streams that are given up take nothing with them, whatever they were doing', async () => {
    for (let n = 0; n < 50; n++) {
      const stream = pool.stream('md5')
      const updating = stream.update(randomBytes(n % 2 === 0 ? 5000 : 400_000))
      if (n % 3 === 0) await updating
      stream.discard()
      await updating
    }
    const chunks = [randomBytes(1_000_000)]
    expect(await digestOf(pool, 'md5', chunks)).toBe(expected('md5', chunks))
  })
})

test.each([
  [true, 4],
  [false, 1],
])('a thread that works in step (%s) has room for %i streams', async (inStep, room) => {
  const thread = new DigestThread({ bufferBytes: 1 << 20, inStep }, () => {})
  for (let streams = 1; streams <= room; streams++) {
    expect(thread.hasRoom('md5')).toBe(true)
    expect(thread.hasRoom('sha256')).toBe(streams === 1)
    await thread.stream('md5').update(randomBytes(10))
  }
  expect(thread.hasRoom('md5')).toBe(false)
  await thread.close()
})

test('streams fail with a code when the pool is closed under them, and a later one has a thread anew', async () => {
  const closing = new DigestPool({ workers: 1 })
  const stream = closing.stream('md5')
  await stream.update(randomBytes(100_000))
  const waiting = closing.stream('md5')
  const updating = waiting.update(randomBytes(20_000_000))
  await Promise.all([closing.close(), expect(updating).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })])
  await expect(stream.digest()).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  waiting.discard()
  const chunks = [randomBytes(100_000)]
  expect(await digestOf(closing, 'md5', chunks)).toBe(expected('md5', chunks))
  await closing.close()
})
