import { HOUR_MS, KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { BLOCKS_TYPE, ObjectStore } from '../src/index.ts'
import { pattern } from './bodies.ts'
import { gate } from './gate.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const OBJECTS = 40
const BLOCKS = 20

/** Forty deleted objects, of which a collection has begun to delete blocks; it goes on when it may. */
async function halfCollected() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, { blockBytes: BLOCK, inlineBytes: 100, leaseMs: HOUR_MS })
  await store.createBucket('reef')
  for (let n = 0; n < OBJECTS; n++) await store.put('reef', `${n}`, pattern(BLOCKS * BLOCK))
  for (let n = 0; n < OBJECTS; n++) await store.delete('reef', `${n}`)
  const { coming, come, going, go } = gate()
  kv.before = (operation, type) => {
    if (operation !== 'delete' || type !== BLOCKS_TYPE) return undefined
    come()
    return going
  }
  const abort = new AbortController()
  const ends: string[] = []
  const collecting = store.collect({ leewayMs: 0, signal: abort.signal }).finally(() => ends.push('collect'))
  collecting.catch(() => {})
  await coming
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  /** Whether it has stopped for good: nothing is read or written any more. */
  const expectStill = async () => {
    const before = new Map(kv.counts)
    for (let turn = 0; turn < 20; turn++) await settled()
    expect(new Map(kv.counts)).toEqual(before)
  }
  return { runtime, kv, store, abort, collecting, ends, go, settled, expectStill }
}

test('a collection that is aborted is over when nothing is cleared any more', async () => {
  const { kv, store, abort, collecting, ends, go, settled, expectStill } = await halfCollected()
  abort.abort()
  await settled()
  expect(ends).toEqual([])
  go()
  await expect(collecting).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
  expect(kv.count(BLOCKS_TYPE), 'it stops between two blocks').toBeGreaterThan((OBJECTS - 5) * BLOCKS)
  await expectStill()
  await store.collect({ leewayMs: 0 })
  expect(kv.count(BLOCKS_TYPE)).toBe(0)
})

test('a store is closed when a collection that was cut clears nothing any more', async () => {
  const { store, collecting, ends, go, settled, expectStill } = await halfCollected()
  const closing = store.close({ drainMs: 0 }).then(() => ends.push('close'))
  await settled()
  expect(ends).toEqual([])
  go()
  await closing
  await expectStill()
  await expect(collecting).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
})
