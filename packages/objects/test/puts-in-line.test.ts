import { SECOND_MS } from '@atoll/core'
import { expect, test } from 'vitest'
import { MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

/** As many puts at once as `count`, each of a key of its own, in a store that begins the writes of 512. */
async function setUp(count: number) {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv })
  await store.createBucket('reef')
  const seen = { begun: 0, writing: 0, mostWriting: 0, begunAtFirstAnswer: 0, answers: [] as number[] }
  kv.before = (operation, type) => {
    if (operation !== 'put' || type !== MANIFESTS_TYPE) return
    seen.begun += 1
    seen.writing += 1
    seen.mostWriting = Math.max(seen.mostWriting, seen.writing)
  }
  kv.after = async (operation, type) => {
    if (operation !== 'put' || type !== MANIFESTS_TYPE) return
    await new Promise((resolve) => setImmediate(resolve))
    seen.writing -= 1
  }
  const putAll = (onWrite = () => {}) =>
    Promise.allSettled(
      Array.from({ length: count }, async (_, n) => {
        await store.put('reef', `${n}`, `body ${n}`)
        if (seen.answers.push(n) === 1) seen.begunAtFirstAnswer = seen.begun
        onWrite()
      }),
    )
  return { runtime, seen, putAll }
}

test('of 3000 puts at once 512 are written at a time, the first come first, and are answered before the last begin', async () => {
  const { seen, putAll } = await setUp(3000)
  const outcomes = await putAll()
  expect(outcomes.every(({ status }) => status === 'fulfilled')).toBe(true)
  expect(seen.mostWriting).toBe(512)
  expect(seen.begunAtFirstAnswer).toBeLessThanOrEqual(1024)
  expect(seen.answers).toEqual([...seen.answers].sort((a, b) => a - b))
})

test('puts whose turn comes after their time are refused, and certainly did not happen', async () => {
  const { runtime, seen, putAll } = await setUp(1000)
  let isLate = false
  const outcomes = await putAll(() => {
    if (!isLate) runtime.advance(31 * SECOND_MS)
    isLate = true
  })
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  expect(refused.length).toBeGreaterThan(0)
  expect(seen.begun).toBe(1000 - refused.length)
  for (const reason of refused)
    expect(reason).toMatchObject({ code: 'ATOLL_OVERLOADED', definite: true, transient: true })
})
