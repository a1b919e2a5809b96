import { AtollError, KiB, MINUTE_MS } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { BLOCKS_TYPE, MANIFESTS_TYPE, ObjectStore } from '../src/index.ts'
import { chunked, failing, md5, pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const OLD = pattern(50, 3)

async function setUp() {
  const runtime = manualRuntime()
  const kv = new MemoryKv()
  const store = new ObjectStore(
    runtime,
    { kv },
    { blockBytes: BLOCK, inlineBytes: 100, leaseMs: 10 * MINUTE_MS, blockPatienceMs: 0 },
  )
  await store.createBucket('reef')
  await store.put('reef', 'a', OLD)
  /** Only the older version is there. */
  const expectUntouched = async () => {
    expect(await readAll((await store.get('reef', 'a')).body)).toEqual(OLD)
    expect((await store.list('reef')).objects).toMatchObject([{ key: 'a', size: 50, etag: md5(OLD) }])
    expect(kv.count(BLOCKS_TYPE)).toBe(0)
    expect(kv.count(MANIFESTS_TYPE)).toBe(1)
    expect((await store.collect({ leewayMs: 0, now: runtime.clock.wallMs() + 1e9 })).versions).toBe(0)
  }
  return { runtime, kv, store, expectUntouched }
}

describe('a body that is not what it should be leaves everything as it was', () => {
  const cause = new Error('the wire was cut')
  const long = pattern(10 * BLOCK)
  const short = pattern(80)

  test.each([0, 50, 3 * BLOCK, 9 * BLOCK + 1])('it throws after %i bytes', async (bytes) => {
    const { store, expectUntouched } = await setUp()
    const put = store.put('reef', 'a', failing(long.subarray(0, bytes), 1000, cause))
    await expect(put).rejects.toMatchObject({ code: 'ATOLL_INCOMPLETE_BODY', definite: true, cause })
    await expectUntouched()
  })

  test.each([
    ['another MD5, inline', 'INVALID', short, { contentMd5: md5(long) }],
    ['another MD5, in blocks', 'INVALID', long, { contentMd5: md5(short) }],
    ['too few bytes, inline', 'INCOMPLETE', short, { length: 81 }],
    ['too many bytes, inline', 'INVALID', short, { length: 79 }],
    ['too few bytes, in blocks', 'INCOMPLETE', long, { length: 10 * BLOCK + 1 }],
    ['too many bytes, in blocks', 'INVALID', long, { length: 9 * BLOCK }],
  ])('it has %s', async (_name, what, body, options) => {
    const { store, expectUntouched } = await setUp()
    const code = `ATOLL_${what}_BODY`
    await expect(store.put('reef', 'a', chunked(body, 1000), options)).rejects.toMatchObject({ code })
    await expectUntouched()
    await expect(store.put('reef', 'a', body, options)).rejects.toMatchObject({ code })
    await expectUntouched()
  })

  test('it has chunks that are no bytes', async () => {
    const { store, expectUntouched } = await setUp()
    const bodies: unknown[] = [[1, 2], ['text'], new Set([new Uint16Array(2)]), [pattern(3 * BLOCK), null]]
    for (const body of bodies) {
      const put = store.put('reef', 'a', body as Iterable<Uint8Array>)
      await expect(put).rejects.toMatchObject({
        code: 'ATOLL_INVALID_BODY',
        message: /Uint8Array chunks, got/,
      })
      await expectUntouched()
    }
  })

  test('it has bytes that were transferred elsewhere, and so look like none', async () => {
    const { store, expectUntouched } = await setUp()
    const buffer = new ArrayBuffer(3 * BLOCK)
    const gone = new Uint8Array(buffer)
    structuredClone(buffer, { transfer: [buffer] })
    expect(gone.length).toBe(0)
    for (const body of [gone, [gone], [short, gone], new Set([short, gone])]) {
      const put = store.put('reef', 'a', body)
      await expect(put).rejects.toMatchObject({ code: 'ATOLL_INVALID_BODY', message: /transferred/ })
      await expectUntouched()
    }
  })

  test.each([undefined, 5, null])('its iterator answers %o in place of a result', async (answer) => {
    const { store, expectUntouched } = await setUp()
    const body = { [Symbol.asyncIterator]: () => ({ next: () => answer }) }
    await expect(Reflect.apply(store.put, store, ['reef', 'a', body])).rejects.toMatchObject({
      code: 'ATOLL_INVALID_BODY',
      message: /\{ done, value \}/,
    })
    await expectUntouched()
  })

  test('it is wrong, and never takes leave: the put waits for a second', async () => {
    const { runtime, store, expectUntouched } = await setUp()
    let asked = () => {}
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve
    })
    const end = () => {
      asked()
      return new Promise(() => {})
    }
    const body = {
      [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: 5 }), return: end }),
    }
    const put: unknown = Reflect.apply(store.put, store, ['reef', 'a', body])
    const refused = expect(put).rejects.toMatchObject({ code: 'ATOLL_INVALID_BODY' })
    await isAsked
    runtime.advance(1000)
    await refused
    await expectUntouched()
  })

  test('it is larger than objects may be', async () => {
    const { runtime, kv, expectUntouched } = await setUp()
    const store = new ObjectStore(
      runtime,
      { kv },
      { blockBytes: BLOCK, inlineBytes: 100, maxObjectBytes: 3 * BLOCK },
    )
    await expect(store.put('reef', 'a', chunked(long, 1000))).rejects.toMatchObject({
      code: 'ATOLL_TOO_LARGE',
    })
    await expectUntouched()
    let asked = false
    const body = {
      *[Symbol.iterator]() {
        asked = true
        yield long
      },
    }
    await expect(store.put('reef', 'a', body, { length: 10 * BLOCK })).rejects.toMatchObject({
      code: 'ATOLL_TOO_LARGE',
    })
    expect(asked).toBe(false)
    await expectUntouched()
  })

  test('it is aborted at any place, even while the body is silent', async () => {
    for (const place of [0, 1, 5, 9]) {
      const { store, expectUntouched } = await setUp()
      const controller = new AbortController()
      let closed = false
      async function* body() {
        try {
          for (let block = 0; block < place; block++) yield pattern(BLOCK, block)
          controller.abort(new Error('changed my mind'))
          await new Promise(() => {})
        } finally {
          closed = true
        }
      }
      const put = store.put('reef', 'a', body(), { signal: controller.signal })
      await expect(put).rejects.toMatchObject({
        code: 'ATOLL_ABORTED',
        cause: { message: 'changed my mind' },
      })
      expect(closed).toBe(false)
      await expectUntouched()
    }
  })

  test('the call was aborted before it began', async () => {
    const { store, kv, expectUntouched } = await setUp()
    kv.counts.clear()
    const signal = AbortSignal.abort()
    await expect(store.put('reef', 'a', long, { signal })).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
    expect(kv.operations('put', MANIFESTS_TYPE) + kv.operations('put', BLOCKS_TYPE)).toBe(0)
    await expectUntouched()
  })

  test('it is told that nobody wants more', async () => {
    const { store } = await setUp()
    let closed = false
    async function* body() {
      try {
        for (;;) yield pattern(BLOCK)
      } finally {
        closed = true
      }
    }
    await expect(store.put('reef', 'a', body(), { length: 5 * BLOCK })).rejects.toThrow(
      /more than 20480 bytes/,
    )
    expect(closed).toBe(true)
  })
})

test('onProgress that throws harms neither what is put nor what is read', async () => {
  const { store } = await setUp()
  const onProgress = () => {
    throw new Error('cannot draw')
  }
  const { size } = await store.put('reef', 'a', pattern(10 * BLOCK), { onProgress })
  const { body } = await store.get('reef', 'a', { onProgress })
  let bytes = 0
  for await (const chunk of body) bytes += chunk.length
  expect(bytes).toBe(size)
})

describe('a store that fails', () => {
  const refused = new AtollError('ATOLL_QUORUM_IMPOSSIBLE', 'too few replicas')
  const unknown = new AtollError('ATOLL_TIMEOUT', 'no answer')

  test('a block that is refused fails the put and leaves nothing', async () => {
    const { store, kv, expectUntouched } = await setUp()
    let blocks = 0
    kv.before = (operation, type) => {
      if (operation === 'put' && type === BLOCKS_TYPE && ++blocks === 5) throw refused
    }
    await expect(store.put('reef', 'a', pattern(30 * BLOCK))).rejects.toBe(refused)
    expect(blocks).toBeLessThan(12)
    await expectUntouched()
  })

  test('a block that may still arrive leaves a trace until the lease is over', async () => {
    const { store, kv, runtime } = await setUp()
    let late: (() => Promise<unknown>) | undefined
    const put = kv.put.bind(kv)
    kv.put = async (id, write) => {
      if (id.type !== BLOCKS_TYPE || late !== undefined) return put(id, write)
      late = () => put(id, write)
      throw unknown
    }
    await expect(store.put('reef', 'a', pattern(10 * BLOCK))).rejects.toBe(unknown)
    expect(kv.count(BLOCKS_TYPE)).toBe(0)
    await late?.()
    expect(kv.count(BLOCKS_TYPE)).toBe(1)
    await store.collect()
    expect(kv.count(BLOCKS_TYPE)).toBe(1)
    runtime.advance(10 * MINUTE_MS)
    await store.collect()
    expect(kv.count(BLOCKS_TYPE)).toBe(0)
    expect(await store.head('reef', 'a')).toMatchObject({ size: 50 })
  })

  test('a manifest that may have been written keeps its blocks', async () => {
    const { store, kv } = await setUp()
    let manifests = 0
    kv.after = (operation, type) => {
      if (operation === 'put' && type === MANIFESTS_TYPE && ++manifests === 2) throw unknown
    }
    const body = pattern(10 * BLOCK)
    await expect(store.put('reef', 'a', body)).rejects.toBe(unknown)
    expect(Buffer.from(await readAll((await store.get('reef', 'a')).body)).equals(body)).toBe(true)
  })

  test('a manifest that was refused leaves nothing', async () => {
    const { store, kv, expectUntouched } = await setUp()
    let manifests = 0
    kv.before = (operation, type) => {
      // The note is declined, written upon what is there, and becomes a version.
      if (operation === 'put' && type === MANIFESTS_TYPE && ++manifests === 3) throw refused
    }
    await expect(store.put('reef', 'a', pattern(10 * BLOCK))).rejects.toBe(refused)
    await expectUntouched()
    manifests = 2
    await expect(store.put('reef', 'a', pattern(10))).rejects.toBe(refused)
    await expectUntouched()
  })

  test('blocks that cannot be deleted after a failure are found by the next collection', async () => {
    const { store, kv, runtime } = await setUp()
    kv.before = (operation, type) => {
      if (operation === 'delete' && type === BLOCKS_TYPE) throw unknown
    }
    const put = store.put('reef', 'a', failing(pattern(5 * BLOCK), 1000, new Error('cut')))
    await expect(put).rejects.toMatchObject({ code: 'ATOLL_INCOMPLETE_BODY' })
    expect(kv.count(BLOCKS_TYPE)).toBe(5)
    runtime.advance(10 * MINUTE_MS)
    expect(await store.collect()).toMatchObject({ failed: 1 })
    kv.before = () => {}
    expect(await store.collect()).toMatchObject({ failed: 0, blocks: 64, versions: 0 })
    expect(kv.count(BLOCKS_TYPE)).toBe(0)
    expect(await store.collect()).toMatchObject({ failed: 0, blocks: 0 })
  })

  test('reads and lists pass on what the store throws', async () => {
    const { store, kv } = await setUp()
    await store.put('reef', 'a', pattern(3 * BLOCK))
    const { body } = await store.get('reef', 'a')
    kv.before = () => {
      throw refused
    }
    await expect(readAll(body)).rejects.toBe(refused)
    await expect(store.get('reef', 'a')).rejects.toBe(refused)
    await expect(store.list('reef')).rejects.toBe(refused)
    await expect(store.delete('reef', 'a')).rejects.toBe(refused)
    await expect(store.createBucket('other')).rejects.toMatchObject({
      code: refused.code,
      message: `to read bucket "other": ${refused.message}`,
      cause: refused,
    })
  })
})

test('a get is aborted while a block does not come', async () => {
  const { store, kv } = await setUp()
  await store.put('reef', 'b', pattern(5 * BLOCK))
  const controller = new AbortController()
  let gets = 0
  kv.before = (operation, type) => {
    const isLate = operation === 'get' && type === BLOCKS_TYPE && ++gets >= 3
    return isLate ? new Promise<void>(() => {}) : undefined
  }
  const { body } = await store.get('reef', 'b', { signal: controller.signal })
  let chunks = 0
  const reading = (async () => {
    for await (const _ of body) if (++chunks === 2) controller.abort(new Error('enough'))
  })()
  await expect(reading).rejects.toMatchObject({ code: 'ATOLL_ABORTED', cause: { message: 'enough' } })
  expect(chunks).toBe(2)
})
