import { KiB } from '@atoll/core'
import { expect, test } from 'vitest'
import { MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { gate } from './gate.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const OPTIONS = { blockBytes: 4 * KiB, inlineBytes: 100 }

/** Lets whatever runs at once run. */
const settle = async () => {
  for (let hop = 0; hop < 200; hop++) await undefined
}

async function opened() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, OPTIONS)
  await store.createBucket('reef')
  await store.put('reef', 'there', 'x')
  const { going, go: open } = gate()
  let isHeld = false
  const hold = () => {
    kv.before = async (operation, type) => {
      if (operation !== 'put' || type !== MANIFESTS_TYPE) return
      isHeld = true
      await going
    }
  }
  return { runtime, kv, store, hold, open, isHeld: () => isHeld }
}

const calls = {
  'a small put': (store: ObjectStore, signal: AbortSignal) => store.put('reef', 'key', 'small', { signal }),
  'a put of blocks': (store: ObjectStore, signal: AbortSignal) =>
    store.put('reef', 'key', new Uint8Array(10 * KiB), { signal }),
  'a delete': (store: ObjectStore, signal: AbortSignal) => store.delete('reef', 'there', { signal }),
}

for (const [name, call] of Object.entries(calls)) {
  test(`${name} that is aborted while its record is written answers within a second, and goes on`, async () => {
    const { runtime, store, hold, open, isHeld } = await opened()
    hold()
    const abort = new AbortController()
    let answer: unknown
    call(store, abort.signal).then(
      (result) => {
        answer = result
      },
      (error) => {
        answer = error
      },
    )
    await settle()
    expect(isHeld()).toBe(true)
    abort.abort()
    await settle()
    runtime.advance(999)
    await settle()
    expect(answer).toBe(undefined)
    runtime.advance(1)
    await settle()
    expect(answer).toMatchObject({ code: 'ATOLL_ABORTED', definite: false })
    let isClosed = false
    const closing = store.close().then(() => {
      isClosed = true
    })
    await settle()
    expect(isClosed).toBe(false)
    open()
    await closing
  })

  test(`${name} that is aborted, and known to have ended within a second, answers what became of it`, async () => {
    const { runtime, store, hold, open } = await opened()
    hold()
    const abort = new AbortController()
    const answer = call(store, abort.signal).then(
      () => 'done',
      (error) => error.code,
    )
    await settle()
    abort.abort()
    runtime.advance(500)
    open()
    expect(await answer).toMatch(/^done$|^ATOLL_ABORTED$/)
    runtime.advance(1000)
    await store.close()
  })
}
