import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GiB, KiB, MiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { openNode } from '../src/index.ts'

const SIZE_BYTES = GiB
const CHUNK_BYTES = 256 * KiB
const GROWTH_LIMIT_BYTES = 200 * MiB

/** Chunks that are all different, and fresh: a chunk belongs to its receiver. */
async function* stream(digest: ReturnType<typeof createHash>): AsyncGenerator<Uint8Array> {
  const noise = randomBytes(2 * CHUNK_BYTES)
  for (let sent = 0; sent < SIZE_BYTES; sent += CHUNK_BYTES) {
    const chunk = new Uint8Array(CHUNK_BYTES)
    chunk.set(noise.subarray(sent % 251, (sent % 251) + CHUNK_BYTES))
    new DataView(chunk.buffer).setUint32(0, sent / CHUNK_BYTES)
    digest.update(chunk)
    yield chunk
  }
}

test('1 GiB goes in and out while memory grows by less than 200 MiB', async () => {
  const path = await mkdtemp(join(tmpdir(), 'atoll-large-'))
  const before = process.memoryUsage.rss()
  let peak = before
  const sample = () => {
    peak = Math.max(peak, process.memoryUsage.rss())
  }
  try {
    await using node = await openNode({ path })
    await node.objects.createBucket('large')
    const sent = createHash('sha256')
    const { size } = await node.objects.put('large', 'stream', stream(sent), { onProgress: sample })
    expect(size).toBe(SIZE_BYTES)
    const received = createHash('sha256')
    const { body } = await node.objects.get('large', 'stream')
    for await (const chunk of body) {
      received.update(chunk)
      sample()
    }
    expect(received.digest('hex')).toBe(sent.digest('hex'))
    expect(peak - before).toBeLessThan(GROWTH_LIMIT_BYTES)
  } finally {
    await rm(path, { recursive: true })
  }
}, 300_000)
