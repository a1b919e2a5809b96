import { AtollError, borrowBuffer, KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { ObjectStore } from '../src/index.ts'
import { KV_TYPES } from '../src/kv-types.ts'
import type { KvStoreWrite } from '../src/ports.ts'
import { md5, pattern, readAll } from './bodies.ts'
import { type ManualRuntime, manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

/** Of no other test's arrays. */
const BLOCK = 44 * KiB
const POISON = 0xdd

const isBlocks = (type: string) =>
  Object.entries(KV_TYPES).some(([name, of]) => name === type && of.policy.kind === 'write-once')

/** Keeps the bytes that it is given of each block, and lets go of them when a test says so. */
class HoldingKv extends MemoryKv {
  readonly given: { readonly value: Uint8Array; readonly letGo: () => void }[] = []

  override put(id: Parameters<MemoryKv['put']>[0], write: KvStoreWrite) {
    const { onReleased, ...others } = write
    if (isBlocks(id.type)) this.given.push({ value: write.value, letGo: () => onReleased?.() })
    return super.put(id, others)
  }
}

async function opened(kv: MemoryKv, runtime: ManualRuntime = manualRuntime()) {
  const store = new ObjectStore(
    runtime,
    { kv },
    { blockBytes: BLOCK, inlineBytes: 100, blockPatienceMs: 5000 },
  )
  await store.createBucket('box')
  return store
}

/** Two large arrays are compared at once; to show where they differ would take minutes. */
const areEqual = (a: Uint8Array | undefined, b: Uint8Array | undefined) =>
  a !== undefined && b !== undefined && Buffer.compare(a, b) === 0

const isPoisoned = (bytes: Uint8Array) => bytes.every((byte) => byte === POISON)

test('a block is returned when the store has let go of it, and not before', async () => {
  const kv = new HoldingKv()
  const store = await opened(kv)
  const body = pattern(2 * BLOCK + 100)
  await store.put('box', 'k', [
    body.subarray(0, 10),
    body.subarray(10, BLOCK + 500),
    body.subarray(BLOCK + 500),
  ])
  const blocks = [0, 1, 2].map((at) => body.subarray(at * BLOCK, (at + 1) * BLOCK))
  expect(kv.given.map(({ value }, at) => areEqual(value, blocks[at]))).toEqual([true, true, true])
  kv.given[1]?.letGo()
  expect(kv.given.map(({ value }) => isPoisoned(value))).toEqual([false, true, false])
  expect(borrowBuffer(BLOCK)).toBe(kv.given[1]?.value.buffer)
  expect(areEqual(kv.given[0]?.value, blocks[0])).toBe(true)
  expect(areEqual(kv.given[2]?.value, blocks[2])).toBe(true)
  kv.given[1]?.letGo()
  expect(borrowBuffer(BLOCK)).not.toBe(kv.given[1]?.value.buffer)
  expect(areEqual(await readAll((await store.get('box', 'k')).body), body)).toBe(true)
})

test('a block is not returned while it is digested', async () => {
  const kv = new HoldingKv()
  const runtime = manualRuntime()
  const { stream } = runtime.digest
  let goOn = () => {}
  const going = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const digest: ManualRuntime['digest'] = {
    ...runtime.digest,
    stream: (algorithm) => {
      const inner = stream(algorithm)
      return {
        ...inner,
        update: async (chunk) => {
          await going
          return inner.update(chunk)
        },
      }
    },
  }
  const store = await opened(kv, { ...runtime, digest })
  const body = pattern(BLOCK)
  const putting = store.put('box', 'k', [body])
  while (kv.given.length === 0) await new Promise((resolve) => setImmediate(resolve))
  kv.given[0]?.letGo()
  expect(areEqual(kv.given[0]?.value, body)).toBe(true)
  goOn()
  expect((await putting).etag).toBe(md5(body))
  expect(isPoisoned(kv.given[0]?.value ?? body)).toBe(true)
})

test('the caller has his own bytes, also those that are just a block', async () => {
  const kv = new HoldingKv()
  const store = await opened(kv)
  const body = pattern(BLOCK)
  await store.put('box', 'k', body)
  for (const { letGo } of kv.given) letGo()
  expect(areEqual(body, pattern(BLOCK))).toBe(true)
})

test('a block that had to be tried again is not returned: the first try may still be under way', async () => {
  const kv = new HoldingKv()
  const store = await opened(kv)
  let failures = 1
  kv.before = (operation, type) => {
    if (operation === 'put' && isBlocks(type) && failures-- > 0)
      throw new AtollError('ATOLL_TIMEOUT', 'too slow', { transient: true, definite: false })
  }
  const body = pattern(BLOCK)
  await store.put('box', 'k', [body])
  expect(kv.given.length).toBe(2)
  kv.given[1]?.letGo()
  expect(areEqual(kv.given[1]?.value, body)).toBe(true)
})

test('a store that does not tell keeps what it has', async () => {
  const kv = new MemoryKv()
  kv.lettingGo = false
  const store = await opened(kv)
  for (const key of ['k', 'l']) await store.put('box', key, [pattern(3 * BLOCK, key.charCodeAt(0))])
  for (const key of ['k', 'l']) {
    const read = await readAll((await store.get('box', key)).body)
    expect(areEqual(read, pattern(3 * BLOCK, key.charCodeAt(0)))).toBe(true)
  }
})
