import { createHash, randomBytes } from 'node:crypto'
import type { StreamAlgorithm } from '@atoll/core'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { DigestPool } from '../src/digest-pool.ts'

const pool = new DigestPool({ workers: 2, inlineBelowBytes: 1000, buffersPerWorker: 2 })

afterAll(() => pool.close())

async function digestOf(algorithm: StreamAlgorithm, chunks: readonly Uint8Array[]): Promise<string> {
  const stream = pool.stream(algorithm)
  for (const chunk of chunks) await stream.update(chunk)
  return Buffer.from(await stream.digest()).toString('hex')
}

function expected(algorithm: StreamAlgorithm, chunks: readonly Uint8Array[]): string {
  return createHash(algorithm).update(Buffer.concat(chunks)).digest('hex')
}

test('equals the plain digest for any cutting into chunks, inline or on a worker', async () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('md5' as const, 'sha256' as const),
      sizes,
      async (algorithm, lengths) => {
        const chunks = lengths.map((length) => randomBytes(length))
        expect(await digestOf(algorithm, chunks)).toBe(expected(algorithm, chunks))
      },
    ),
  )
})

test('takes chunks larger than all of its buffers, and many streams at once', async () => {
  const bodies = Array.from({ length: 12 }, (_, n) => [
    randomBytes(3_500_000 + n),
    randomBytes(1 << 20),
    randomBytes(7),
  ])
  const digests = await Promise.all(bodies.map((chunks) => digestOf('md5', chunks)))
  expect(digests).toEqual(bodies.map((chunks) => expected('md5', chunks)))
})

test('leaves the chunk to the caller: it may change as soon as update is done', async () => {
  const chunk = randomBytes(2_000_000)
  const before = createHash('md5').update(chunk).digest('hex')
  const stream = pool.stream('md5')
  await stream.update(chunk)
  chunk.fill(0)
  expect(Buffer.from(await stream.digest()).toString('hex')).toBe(before)
})

test('a stream that is given up takes nothing with it', async () => {
  for (let n = 0; n < 50; n++) {
    const stream = pool.stream('md5')
    await stream.update(randomBytes(5000))
    stream.discard()
  }
  const chunks = [randomBytes(100_000)]
  expect(await digestOf('md5', chunks)).toBe(expected('md5', chunks))
})

test('streams fail with a code when the pool is closed under them', async () => {
  const closing = new DigestPool({ workers: 1 })
  const stream = closing.stream('md5')
  await stream.update(randomBytes(100_000))
  await closing.close()
  await expect(stream.digest()).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  const again = closing.stream('md5')
  await again.update(randomBytes(100_000))
  expect(await again.digest()).toHaveLength(16)
  await closing.close()
})
