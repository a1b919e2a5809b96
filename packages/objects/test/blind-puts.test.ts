import { AtollError, HOUR_MS, KiB, MINUTE_MS } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { BLOCKS_TYPE, MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { LIST_INDEX } from '../src/kv-types.ts'
import { pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const OPTIONS = { blockBytes: BLOCK, inlineBytes: 100, leaseMs: 10 * MINUTE_MS }
const LARGE = pattern(3 * BLOCK, 2)
const SMALL = pattern(50, 3)
const BODIES = [
  ['inline', SMALL],
  ['in blocks', LARGE],
] as const

/** A store that puts without looking, and notes of what it does to manifests. */
async function setUp() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, OPTIONS)
  /** Another node, of which the clock is an hour ahead. */
  const ahead = new ObjectStore(manualRuntime(2, runtime.clock.wallMs() + HOUR_MS), { kv }, OPTIONS)
  await store.createBucket('reef')
  const operations: string[] = []
  kv.before = (operation, type) => {
    if (type === MANIFESTS_TYPE) operations.push(operation)
  }
  const bodyOf = async () => readAll((await store.get('reef', 'a')).body)
  return { runtime, kv, store, ahead, operations, bodyOf }
}

/**
 * Calls `run` just before a version of the body becomes visible, and lets that stand beside whatever there is then: the
 * replicas that are asked first have not heard of it. `then` is called just behind it.
 */
function atVersion(kv: MemoryKv, run: () => Promise<unknown>, then?: () => Promise<unknown>): void {
  const put = kv.put
  kv.put = async (id, write) => {
    const isVersion = id.type === MANIFESTS_TYPE && write.indexes?.some(({ index }) => index === LIST_INDEX)
    if (!isVersion) return put.call(kv, id, write)
    kv.put = put
    await run()
    const written = await put.call(kv, id, { ...write, ifAlone: false, ifUnchanged: undefined })
    await then?.()
    return { ...written, alone: false }
  }
}

/** The next writes of versions are acknowledged, and replicas take them for something that they knew. */
function losing(kv: MemoryKv, times: number): void {
  const put = kv.put
  let lost = 0
  kv.put = async (id, write) => {
    const isVersion = id.type === MANIFESTS_TYPE && write.indexes?.some(({ index }) => index === LIST_INDEX)
    if (!isVersion || lost === times) return put.call(kv, id, write)
    lost += 1
    return { accepted: 2, primaries: 2, context: write.context, alone: false }
  }
}

describe.each(BODIES)('a put %s', (_name, body) => {
  const notes = body === LARGE ? ['put'] : []

  test('of a new key reads no manifest', async () => {
    const { store, operations, bodyOf } = await setUp()
    await store.put('reef', 'a', body)
    expect(operations).toEqual([...notes, 'put'])
    expect(await bodyOf()).toEqual(body)
  })

  test('is the latest even if another node numbered its version higher, and it was not seen first', async () => {
    const { store, ahead, kv, runtime, bodyOf } = await setUp()
    atVersion(kv, () => ahead.put('reef', 'a', 'from the future'))
    const put = await store.put('reef', 'a', body)
    expect(runtime.marks.get('objects.put.activated-again')).toBe(1)
    expect(await bodyOf()).toEqual(body)
    expect((await store.list('reef')).objects).toMatchObject([{ size: body.length, etag: put.etag }])
  })

  test('leaves no older version beside it that nobody has retired', async () => {
    const { store, ahead, kv, bodyOf } = await setUp()
    atVersion(kv, () => store.put('reef', 'a', pattern(2 * BLOCK)))
    await ahead.put('reef', 'a', body)
    await ahead.collect({ leewayMs: 0 })
    expect(kv.count(BLOCKS_TYPE)).toBe(body === LARGE ? 3 : 0)
    expect(await bodyOf()).toEqual(body)
  })

  test('that somebody has seen and overtaken stays overtaken', async () => {
    const { store, ahead, kv, runtime, bodyOf } = await setUp()
    atVersion(
      kv,
      () => ahead.put('reef', 'a', 'from the future'),
      () => ahead.put('reef', 'a', 'later'),
    )
    await store.put('reef', 'a', body)
    expect(runtime.marks.get('objects.put.activated-again')).toBeUndefined()
    expect(new TextDecoder().decode(await bodyOf())).toBe('later')
  })

  test('that nobody has is not taken for overtaken, but written again', async () => {
    const { store, kv, runtime, bodyOf } = await setUp()
    losing(kv, 1)
    await store.put('reef', 'a', body)
    expect(runtime.marks.get('objects.put.activated-again')).toBe(1)
    expect(await bodyOf()).toEqual(body)
  })

  test('that nobody has, however often it is written, is not acknowledged', async () => {
    const { store, kv } = await setUp()
    losing(kv, Number.POSITIVE_INFINITY)
    await expect(store.put('reef', 'a', body)).rejects.toMatchObject({
      code: 'ATOLL_QUORUM_UNMET',
      definite: false,
      transient: true,
    })
  })

  test('of which the outcome cannot be told says so, and keeps what may be visible', async () => {
    const { store, ahead, kv } = await setUp()
    const lost = new AtollError('ATOLL_UNREACHABLE', 'lost')
    atVersion(kv, async () => {
      await ahead.put('reef', 'a', 'from the future')
      kv.before = (operation, type) => {
        if (operation === 'get' && type === MANIFESTS_TYPE) throw lost
      }
    })
    await expect(store.put('reef', 'a', body)).rejects.toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: false,
      cause: lost,
    })
    expect(kv.count(BLOCKS_TYPE)).toBe(body === LARGE ? 3 : 0)
  })

  test('that was declined and then aborted has left nothing', async () => {
    const { store, kv, bodyOf } = await setUp()
    await store.put('reef', 'a', 'before')
    const abort = new AbortController()
    kv.before = (operation, type) => {
      if (operation === 'get' && type === MANIFESTS_TYPE) abort.abort()
    }
    const put = store.put('reef', 'a', body, { signal: abort.signal })
    await expect(put).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
    kv.before = () => {}
    expect(new TextDecoder().decode(await bodyOf())).toBe('before')
    expect(kv.count(BLOCKS_TYPE)).toBe(0)
  })
})

// One in blocks has noted itself before: a deletion that the note did not meet is at the same time, and may come last.
test('a put inline is not lost behind a deletion with a higher number, even if a reader joins the two in between', async () => {
  const { store, ahead, kv, bodyOf } = await setUp()
  const reader = new ObjectStore(manualRuntime(3), { kv }, OPTIONS)
  atVersion(
    kv,
    async () => {
      await ahead.put('reef', 'a', 'from the future')
      await ahead.delete('reef', 'a')
    },
    async () => {
      const read = reader.head('reef', 'a')
      await expect(read).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
    },
  )
  await store.put('reef', 'a', SMALL)
  expect(await bodyOf()).toEqual(SMALL)
})

test('an upload that was given up for dead meanwhile does not come back by a put that did not look', async () => {
  const { store, ahead, kv } = await setUp()
  kv.after = async (operation, type) => {
    if (operation !== 'put' || type !== BLOCKS_TYPE) return
    kv.after = () => {}
    // To the clock of the other node the lease is over.
    expect(await ahead.collect()).toMatchObject({ versions: 0, blocks: 3 })
  }
  await expect(store.put('reef', 'a', LARGE)).rejects.toMatchObject({ code: 'ATOLL_TIMEOUT', definite: true })
  await expect(store.head('reef', 'a')).rejects.toMatchObject({ code: 'ATOLL_OBJECT_NOT_FOUND' })
  expect(kv.count(BLOCKS_TYPE)).toBe(0)
})

test('a put in blocks waits for replicas that hand the record to a further holder', async () => {
  const { runtime, kv, store, bodyOf } = await setUp()
  await store.put('reef', 'a', SMALL)
  const put = kv.put
  const handedAtMs = runtime.clock.monotonicMs() + 1000
  let declined = 0
  kv.put = async (id, write) => {
    const isGuarded =
      id.type === MANIFESTS_TYPE && (write.ifAlone === true || write.ifUnchanged !== undefined)
    if (!isGuarded || runtime.clock.monotonicMs() >= handedAtMs) return put.call(kv, id, write)
    declined += 1
    return { accepted: 0, primaries: 0, context: undefined, alone: false }
  }
  await store.put('reef', 'a', LARGE)
  expect(await bodyOf()).toEqual(LARGE)
  expect(declined).toBeGreaterThan(4)
})
