import { KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { BLOCKS_TYPE, type GetOptions, ObjectStore } from '../src/index.ts'
import { md5, pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const AHEAD = 3
const WHOLE = pattern(8 * BLOCK)

async function setUp() {
  const kv = new MemoryKv()
  const options = { blockBytes: BLOCK, inlineBytes: 100, readAhead: AHEAD, maxBlocksReadAhead: 4 }
  const store = new ObjectStore(manualRuntime(), { kv }, options)
  await store.createBucket('reef')
  await store.put('reef', 'a', WHOLE)
  /** Begins a download; answers what goes on with it, and how many blocks were read for its first chunk. */
  const begin = async (asked: GetOptions = {}) => {
    const { body } = await store.get('reef', 'a', asked)
    const before = kv.operations('get', BLOCKS_TYPE)
    const chunks = body[Symbol.asyncIterator]()
    expect((await chunks.next()).done).toBe(false)
    return { chunks, blocks: kv.operations('get', BLOCKS_TYPE) - before }
  }
  return { kv, store, begin }
}

test.each(['own', 'lent'] as const)(
  'downloads that are aborted between two chunks, and never asked again, hold up no other: chunks are %s',
  async (chunks) => {
    const { store, begin } = await setUp()
    for (let n = 0; n < 10; n++) {
      const abort = new AbortController()
      const { blocks } = await begin({ chunks, signal: abort.signal })
      expect(blocks, `download ${n}`).toBe(AHEAD + 1)
      abort.abort()
    }
    expect(md5(await readAll((await store.get('reef', 'a')).body))).toBe(md5(WHOLE))
  },
)

test('nor do those that are cut when the store closes, and whoever asks again is told', async () => {
  const { store, begin } = await setUp()
  const left = await begin()
  await store.close({ drainMs: 0 })
  store.open()
  const { blocks, chunks } = await begin()
  expect(blocks).toBe(AHEAD + 1)
  await expect(left.chunks.next()).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  expect(await left.chunks.next()).toMatchObject({ done: true })
  // What was given back is not given back again: of four slots the one that goes on has three.
  const second = await begin()
  expect(second.blocks).toBe(2)
  await chunks.return?.()
  await second.chunks.return?.()
  expect((await begin()).blocks).toBe(AHEAD + 1)
})
