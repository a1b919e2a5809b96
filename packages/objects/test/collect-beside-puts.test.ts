import { HOUR_MS, KiB } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { BLOCKS_TYPE, type KvStore, type KvStoreWrite, MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { md5, pattern, readAll } from './bodies.ts'
import { gate } from './gate.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'
import { ThreeReplicas } from './three-replicas.ts'

const BLOCK = 4 * KiB
const OPTIONS = { blockBytes: BLOCK, inlineBytes: 100, leaseMs: HOUR_MS }

const isVersion = ({ indexes = [] }: KvStoreWrite) => indexes.some(({ index }) => index === 'list')

/**
 * The store as a node sees it whose version begins at a primary that has not heard of the other writers: it lies beside
 * theirs. The node looks what became of it when it may.
 */
function besideOthers(kv: MemoryKv) {
  const written = gate()
  let state: 'before' | 'written' | 'confirming' = 'before'
  const view: KvStore = {
    get: async (id, options) => {
      if (state === 'written' && id.type === MANIFESTS_TYPE) {
        state = 'confirming'
        written.come()
        await written.going
      }
      return kv.get(id, options)
    },
    put: async (id, write) => {
      if (state !== 'before' || id.type !== MANIFESTS_TYPE || !isVersion(write)) return kv.put(id, write)
      const answer = await kv.put(id, { ...write, ifAlone: false, ifUnchanged: undefined })
      state = 'written'
      return { ...answer, alone: false }
    },
    delete: (id, options) => kv.delete(id, options),
    scan: (scan) => kv.scan(scan),
  }
  return { view, confirming: written.coming, confirm: written.go }
}

/** A body that ends when it may. */
function held(bytes: Uint8Array) {
  const end = gate()
  async function* body() {
    yield bytes
    end.come()
    await end.going
  }
  return { body: body(), read: end.coming, end: end.go }
}

/** Two puts of one key have written their versions beside each other, and neither knows what became of its own. */
async function twoSiblings() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(runtime, { kv }, OPTIONS)
  await store.createBucket('reef')
  // What is out of use brings the key before a collection.
  await store.put('reef', 'a', pattern(BLOCK, 9))
  await store.delete('reef', 'a')
  const puts = []
  for (const seed of [1, 2]) {
    const bytes = pattern(3 * BLOCK, seed)
    const { view, confirming, confirm } = besideOthers(kv)
    const { body, read, end } = held(bytes)
    const put = new ObjectStore(runtime, { kv: view }, OPTIONS).put('reef', 'a', body)
    await read
    puts.push({ bytes, put, end, confirming, confirm })
  }
  // Each has announced itself before one of them becomes a version.
  for (const { end, confirming } of puts) {
    runtime.advance(1)
    end()
    await confirming
  }
  const [first, second] = puts
  if (first === undefined || second === undefined) return expect.fail('there are two puts')
  return { runtime, kv, store, first, second }
}

test.each(['first', 'second'] as const)(
  'a collection whose write is declined, since the %s of two puts has gone on, takes no block of what is visible',
  async (which) => {
    const { runtime, kv, store, ...puts } = await twoSiblings()
    const goesOn = puts[which]
    const other = which === 'first' ? puts.second : puts.first
    let isCrossed = false
    const view: KvStore = {
      get: (id, options) => kv.get(id, options),
      put: async (id, write) => {
        if (id.type === MANIFESTS_TYPE && !isCrossed) {
          isCrossed = true
          goesOn.confirm()
          expect((await goesOn.put).etag).toBe(md5(goesOn.bytes))
        }
        return kv.put(id, write)
      },
      delete: (id, options) => kv.delete(id, options),
      scan: (scan) => kv.scan(scan),
    }
    const collected = await new ObjectStore(runtime, { kv: view }, OPTIONS).collect({ leewayMs: 0 })
    expect(isCrossed).toBe(true)
    expect(collected).toMatchObject({ objects: 1, failed: 0 })
    other.confirm()
    await other.put
    const { etag, body } = await store.get('reef', 'a')
    expect([md5(puts.first.bytes), md5(puts.second.bytes)]).toContain(etag)
    expect(md5(await readAll(body))).toBe(etag)
    expect((await store.list('reef')).objects).toMatchObject([{ key: 'a', etag }])
    await store.collect({ leewayMs: 0 })
    expect(kv.count(BLOCKS_TYPE)).toBe(3)
    expect(md5(await readAll((await store.get('reef', 'a')).body))).toBe(etag)
  },
)

describe('versions that lie beside each other, of which each by itself wants no attention', () => {
  /** As when one was written to a node that stood in, which hands it over later. */
  async function overtaken(bodies: readonly Uint8Array[]) {
    const runtime = manualRuntime()
    const kv = new MemoryKv()
    const store = new ObjectStore(runtime, { kv }, OPTIONS)
    await store.createBucket('reef')
    const kept: [id: Parameters<MemoryKv['put']>[0], write: KvStoreWrite][] = []
    for (const body of bodies) {
      await store.put('reef', 'a/b', body)
      const [record] = [...kv.records.values()].filter(({ id }) => id.type === MANIFESTS_TYPE)
      const [version] = record?.siblings ?? []
      if (record === undefined || version === undefined) return expect.fail('nothing was written')
      kept.push([record.id, version])
      await kv.delete(record.id)
      runtime.advance(1)
    }
    for (const [id, { value, indexes }] of kept) await kv.put(id, { value, indexes })
    expect(kv.count(BLOCKS_TYPE)).toBe(6)
    return { runtime, kv, store }
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))

  test.each([
    ['a page of a list', (store: ObjectStore) => store.list('reef')],
    ['a walk through all', async (store: ObjectStore) => (await store.listAll('reef').next()).value],
    ['a get', (store: ObjectStore) => store.head('reef', 'a/b')],
  ])('are found by %s, and the one that is overtaken is collected', async (_, look) => {
    const bodies = [pattern(3 * BLOCK, 1), pattern(3 * BLOCK, 2)]
    const { runtime, kv, store } = await overtaken(bodies)
    await store.collect({ leewayMs: 0 })
    expect(kv.count(BLOCKS_TYPE), 'nothing tells of it').toBe(6)
    await look(store)
    await settled()
    runtime.advance(1)
    expect(await store.collect({ leewayMs: 0 })).toMatchObject({ versions: 1, blocks: 3, failed: 0 })
    expect(kv.count(BLOCKS_TYPE)).toBe(3)
    expect(md5(await readAll((await store.get('reef', 'a/b')).body))).toBe(md5(pattern(3 * BLOCK, 2)))
    expect(runtime.marks.get('objects.history.healed')).toBe(1)
    await store.list('reef')
    await settled()
    expect(runtime.marks.get('objects.history.healed')).toBe(1)
  })

  test('are healed behind the answer of a list, and a store that closes waits for that', async () => {
    const { kv, store } = await overtaken([pattern(3 * BLOCK, 1), pattern(3 * BLOCK, 2)])
    const { coming, come, going, go } = gate()
    kv.before = (operation, type) => {
      if (operation !== 'put' || type !== MANIFESTS_TYPE) return undefined
      come()
      return going
    }
    await store.list('reef')
    await coming
    let isClosed = false
    const closing = store.close().then(() => {
      isClosed = true
    })
    await settled()
    expect(isClosed).toBe(false)
    go()
    await closing
    expect(kv.operations('put', MANIFESTS_TYPE)).toBeGreaterThan(0)
  })
})

test.each([
  ['is lost for good', (at: number) => at !== 0],
  ['comes back', () => true],
])(
  'what one replica alone knows, and %s, takes no block of the version that the others know',
  async (_, isThere) => {
    const runtime = manualRuntime()
    const kv = new ThreeReplicas()
    const store = new ObjectStore(runtime, { kv }, OPTIONS)
    await store.createBucket('reef')
    const [first, second] = [pattern(3 * BLOCK, 1), pattern(2 * BLOCK, 2)]
    await store.put('reef', 'a', first)
    // The second version comes to the first replica alone.
    let manifests = 0
    kv.reach = (call, type) => {
      const isVersion = call === 'put' && type === MANIFESTS_TYPE && ++manifests > 2
      return isVersion ? [0] : [0, 1, 2]
    }
    await expect(store.put('reef', 'a', second)).rejects.toMatchObject({ definite: false })
    // As on disks that are full: what is deleted goes, and no record is written.
    kv.reach = (call, type) => {
      if (call === 'get') return [0, 1]
      return call === 'put' && type === MANIFESTS_TYPE ? [] : [0, 1, 2]
    }
    expect(await store.collect({ leewayMs: 0 })).toMatchObject({ failed: 1 })
    kv.reach = () => [1, 2, 0].filter(isThere)
    const { etag, body } = await store.get('reef', 'a')
    expect(md5(await readAll(body))).toBe(etag)
    expect(etag).toBe(md5(isThere(0) ? second : first))
    await store.collect({ leewayMs: 0 })
    expect(md5(await readAll((await store.get('reef', 'a')).body))).toBe(etag)
  },
)
