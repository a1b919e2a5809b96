import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { borrowBuffer, MiB } from '@atoll/core'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Cluster, openCluster } from '../src/index.ts'

const OBJECT_BYTES = 4 * MiB + 300_000
const KEYS = Array.from({ length: 6 }, (_, at) => `object-${at}`)

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'atoll-lent-blocks-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

/** Bytes that differ from object to object, from round to round, and from block to block. */
function bodyOf(key: string, round: number): Uint8Array {
  let state = key.charCodeAt(key.length - 1) + 256 * round
  const body = new Uint32Array(OBJECT_BYTES / 4)
  for (let at = 0; at < body.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    body[at] = state
  }
  return new Uint8Array(body.buffer)
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}

/** In chunks of no particular size. */
async function* chunked(body: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < body.length; at += 333_333) yield body.subarray(at, at + 333_333)
}

async function put(cluster: Cluster, key: string, round: number): Promise<void> {
  const body = bodyOf(key, round)
  const at = 1 + (round % 3)
  const { etag } = await cluster.node(at).objects.put('letters', key, round % 2 ? [body] : chunked(body))
  expect(etag).toBe(md5(body))
  // The bytes are the caller's again.
  body.fill(0)
}

async function check(cluster: Cluster, key: string, round: number): Promise<void> {
  for (const at of [1, 2, 3]) {
    const hash = createHash('md5')
    const { body } = await cluster.node(at).objects.get('letters', key, { chunks: 'lent' })
    for await (const chunk of body) hash.update(chunk)
    expect(hash.digest('hex')).toBe(md5(bodyOf(key, round)))
  }
}

/** How many of so many arrays for a block were used before: the tests poison those that come back. */
function usedBefore(count: number): number {
  const views = Array.from({ length: count }, () => new Uint8Array(borrowBuffer(MiB)))
  return views.filter((view) => view.every((byte) => byte === 0xdd)).length
}

test.each([
  ['on disk', true],
  ['in memory', false],
])(
  'the blocks of many puts at once share arrays, and all nodes have the right bytes, %s',
  {
    timeout: 120_000,
  },
  async (_, onDisk) => {
    await using cluster = await openCluster({ nodes: 3, ...(onDisk ? { path } : {}) })
    await cluster.node(1).objects.createBucket('letters')
    for (let round = 0; round < 3; round++) {
      await Promise.all(KEYS.map((key) => put(cluster, key, round)))
      for (const key of KEYS) await check(cluster, key, round)
    }
    // In all there were 90 blocks.
    expect(usedBefore(32)).toBeGreaterThan(0)
  },
)

test('puts that are cut leave nothing wrong behind for others', { timeout: 120_000 }, async () => {
  await using cluster = await openCluster({ nodes: 3, path })
  const { objects } = cluster.node(1)
  await objects.createBucket('letters')
  const puts = KEYS.map(async (key, at) => {
    const abort = new AbortController()
    const onProgress = ({ bytes }: { readonly bytes: number }) => {
      if (bytes >= 2 * MiB) abort.abort()
    }
    const cut = objects.put('letters', `cut-${key}`, bodyOf(key, at), { signal: abort.signal, onProgress })
    const [outcome] = await Promise.allSettled([cut, put(cluster, key, at)])
    expect(outcome.status).toBe('rejected')
  })
  await Promise.all(puts)
  for (const [at, key] of KEYS.entries()) await check(cluster, key, at)
})
