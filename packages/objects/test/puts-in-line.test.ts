import { EMPTY_BYTES, fromUtf8, SECOND_MS } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { MANIFESTS_TYPE, ObjectStore, type ObjectStoreOptions } from '../src/index.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

/** What is seen of requests that all begin at once, each of a key of its own. */
interface Seen {
  /** Of the watched operation on manifest records: how many have begun, and how many were under way, at most. */
  begun: number
  underWay: number
  mostUnderWay: number
  begunAtFirstAnswer: number
  /** The requests in the order in which they were answered. */
  readonly answers: number[]
}

async function setUp(options: ObjectStoreOptions = {}) {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, options)
  await store.createBucket('reef')
  return { runtime, kv, store }
}

function watch(kv: MemoryKv, watched: 'get' | 'put'): Seen {
  const seen: Seen = { begun: 0, underWay: 0, mostUnderWay: 0, begunAtFirstAnswer: 0, answers: [] }
  kv.before = (operation, type) => {
    if (operation !== watched || type !== MANIFESTS_TYPE) return
    seen.begun += 1
    seen.underWay += 1
    seen.mostUnderWay = Math.max(seen.mostUnderWay, seen.underWay)
  }
  kv.after = async (operation, type) => {
    if (operation !== watched || type !== MANIFESTS_TYPE) return
    await new Promise((resolve) => setImmediate(resolve))
    seen.underWay -= 1
  }
  return seen
}

function allAtOnce(
  count: number,
  seen: Seen,
  request: (key: string) => Promise<unknown>,
  onAnswer = () => {},
) {
  return Promise.allSettled(
    Array.from({ length: count }, async (_, n) => {
      await request(`${n}`)
      if (seen.answers.push(n) === 1) seen.begunAtFirstAnswer = seen.begun
      onAnswer()
    }),
  )
}

const COUNT = 1500
const PLACES = 512

describe(`of ${COUNT} at once ${PLACES} are under way at a time, the first come first, and are answered before the last begin:`, () => {
  const put = (store: ObjectStore, key: string) => store.put('reef', key, `body ${key}`)
  interface Case {
    readonly watched: 'get' | 'put'
    readonly options: ObjectStoreOptions
    readonly isThere: boolean
    readonly request: (store: ObjectStore, key: string) => Promise<unknown>
    readonly writes?: number
  }
  const cases: Readonly<Record<string, Case>> = {
    puts: { watched: 'put', options: {}, isThere: false, request: put },
    // An announcement and a version each.
    'puts in blocks': {
      watched: 'put',
      options: { inlineBytes: 1 },
      isThere: false,
      request: put,
      writes: 2,
    },
    deletes: {
      watched: 'put',
      options: {},
      isThere: true,
      request: (store: ObjectStore, key: string) => store.delete('reef', key),
    },
    gets: {
      watched: 'get',
      options: {},
      isThere: true,
      request: (store: ObjectStore, key: string) => store.get('reef', key),
    },
  }

  test.each(Object.entries(cases))('%s', async (_, { watched, options, isThere, request, writes = 1 }) => {
    const { kv, store } = await setUp(options)
    if (isThere) for (let n = 0; n < COUNT; n++) await put(store, `${n}`)
    const seen = watch(kv, watched)
    const outcomes = await allAtOnce(COUNT, seen, (key) => request(store, key))
    expect(outcomes.filter(({ status }) => status !== 'fulfilled')).toEqual([])
    expect(seen.mostUnderWay).toBeGreaterThanOrEqual(PLACES)
    expect(seen.mostUnderWay).toBeLessThanOrEqual(writes * PLACES)
    expect(seen.begunAtFirstAnswer).toBeLessThanOrEqual(2 * writes * PLACES)
    expect(seen.answers).toEqual([...seen.answers].sort((a, b) => a - b))
  })
})

test('puts whose turn comes after their time are refused, and certainly did not happen', async () => {
  const { runtime, kv, store } = await setUp()
  const seen = watch(kv, 'put')
  let isLate = false
  const onAnswer = () => {
    if (!isLate) runtime.advance(31 * SECOND_MS)
    isLate = true
  }
  const outcomes = await allAtOnce(1000, seen, (key) => store.put('reef', key, `body ${key}`), onAnswer)
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
  expect(refused.length).toBeGreaterThan(0)
  expect(seen.begun).toBe(1000 - refused.length)
  for (const reason of refused)
    expect(reason).toMatchObject({ code: 'ATOLL_OVERLOADED', definite: true, transient: true })
})

test('a call says by its timeout how long it waits for its turn', async () => {
  const { runtime, kv, store } = await setUp()
  let [isHeld, letGo] = [true, () => {}]
  const held = new Promise<void>((resolve) => {
    letGo = resolve
  })
  kv.before = (operation, type) =>
    operation === 'put' && type === MANIFESTS_TYPE && isHeld ? held : undefined
  const first = Array.from({ length: PLACES }, (_, n) => store.put('reef', `${n}`, 'body'))
  const hasty = store.put('reef', 'hasty', 'body', { timeoutMs: 1000 })
  const patient = store.put('reef', 'patient', 'body')
  hasty.catch(() => {})
  await new Promise((resolve) => setImmediate(resolve))
  runtime.advance(1000)
  await expect(hasty).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED', details: { patienceMs: 1000 } })
  isHeld = false
  letGo()
  await Promise.all([...first, patient])
})

/** What is written of manifests waits until the test lets go those of one key, or all. */
function gate(kv: MemoryKv): { readonly open: (key?: string) => void } {
  const opened = new Set<string>()
  const waiting: { readonly key: string; readonly go: () => void }[] = []
  kv.before = (operation, type, id) => {
    const key = fromUtf8(id?.key ?? EMPTY_BYTES)
    if (operation !== 'put' || type !== MANIFESTS_TYPE || opened.has(key)) return undefined
    return new Promise<void>((go) => void waiting.push({ key, go }))
  }
  return {
    open: (only) => {
      if (only === undefined) kv.before = () => undefined
      else opened.add(only)
      for (const { key, go } of waiting) if (only === undefined || key === only) go()
    },
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('who has waited for the turn of its key has so much less patience in the line:', () => {
  const SHORT = { timeoutMs: 1000 }
  const requests: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
    'a put': (store) => store.put('reef', 'hot', 'late', SHORT),
    'a deletion': (store) => store.delete('reef', 'hot', SHORT),
  }

  test.each(Object.entries(requests))('%s', async (_, request) => {
    const { runtime, kv, store } = await setUp()
    await store.put('reef', 'hot', 'before')
    const held = gate(kv)
    const others = Array.from({ length: PLACES - 1 }, (_, n) => store.put('reef', `${n}`, 'body'))
    const first = store.put('reef', 'hot', 'first')
    await settled()
    // It takes the place that the first one leaves.
    const next = store.put('reef', 'next', 'body')
    const hasty = request(store)
    hasty.catch(() => {})
    await settled()
    runtime.advance(900)
    held.open('hot')
    // Until the first one is written, and the next one has its place.
    for (let turn = 0; turn < 20; turn++) await settled()
    runtime.advance(150)
    await expect(hasty).rejects.toMatchObject({
      code: 'ATOLL_OVERLOADED',
      definite: true,
      details: { patienceMs: 1000 },
    })
    held.open()
    await Promise.all([first, next, ...others])
    expect((await store.head('reef', 'hot')).size).toBe('first'.length)
  })

  test('one that has waited for all of it is refused though there is a place, and those after it are not', async () => {
    const { runtime, kv, store } = await setUp()
    const held = gate(kv)
    const first = store.put('reef', 'hot', 'first')
    await settled()
    const early = store.put('reef', 'hot', 'early', SHORT)
    early.catch(() => {})
    await settled()
    runtime.advance(900)
    const late = store.put('reef', 'hot', 'late', SHORT)
    await settled()
    runtime.advance(150)
    held.open()
    await first
    await expect(early).rejects.toMatchObject({ details: { waitedMs: 1050, patienceMs: 1000 } })
    await late
    expect((await store.head('reef', 'hot')).size).toBe('late'.length)
  })
})

test('a body is digested when its turn has come', async () => {
  const runtime = manualRuntime()
  let digests = 0
  const stream: typeof runtime.digest.stream = (algorithm) => {
    digests += 1
    return runtime.digest.stream(algorithm)
  }
  const kv = new MemoryKv()
  const store = new ObjectStore({ ...runtime, digest: { ...runtime.digest, stream } }, { kv })
  await store.createBucket('reef')
  const seen = watch(kv, 'put')
  let digestsAtFirstAnswer: number | undefined
  await allAtOnce(
    COUNT,
    seen,
    (key) => store.put('reef', key, `body ${key}`),
    () => {
      digestsAtFirstAnswer ??= digests
    },
  )
  expect(digests).toBe(COUNT)
  expect(digestsAtFirstAnswer).toBeLessThanOrEqual(2 * PLACES)
})

test('of puts that go together one whose body is not what was announced fails by itself', async () => {
  const { kv, store } = await setUp()
  watch(kv, 'put')
  const [first, wrong, last] = await Promise.allSettled([
    store.put('reef', 'a', 'one'),
    store.put('reef', 'a', 'two', { contentMd5: '0'.repeat(32) }),
    store.put('reef', 'a', 'three'),
  ])
  expect([first?.status, last?.status]).toEqual(['fulfilled', 'fulfilled'])
  expect(wrong).toMatchObject({ status: 'rejected', reason: { code: 'ATOLL_INVALID_BODY', definite: true } })
  expect((await store.head('reef', 'a')).size).toBe(5)
})
