import { EventEmitter, once } from 'node:events'
import { createServer, request } from 'node:http'
import { PassThrough, Readable } from 'node:stream'
import { KiB } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { BLOCKS_TYPE, type ObjectBody, ObjectStore } from '../src/index.ts'
import { chunked, pattern, readAll } from './bodies.ts'
import { manualRuntime } from './manual-runtime.ts'
import { MemoryKv } from './memory-kv.ts'

const BLOCK = 4 * KiB
const OLD = pattern(50, 3)
const NEW = pattern(3 * BLOCK, 4)

async function setUp() {
  const kv = new MemoryKv()
  const store = new ObjectStore(manualRuntime(), { kv }, { blockBytes: BLOCK, inlineBytes: 100 })
  await store.createBucket('reef')
  await store.put('reef', 'a', OLD)
  const expectOld = async () => {
    expect(await readAll((await store.get('reef', 'a')).body)).toEqual(OLD)
    expect(kv.count(BLOCKS_TYPE)).toBe(0)
  }
  return { kv, store, expectOld }
}

function web(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    },
  })
}

const STREAMS: [string, () => ObjectBody][] = [
  ['a Node stream', () => Readable.from([NEW])],
  ['a web stream', () => web(NEW)],
  ['the body of a Response', () => new Response(NEW).body ?? expect.fail('a response has a body')],
  ['the stream of a Blob', () => new Blob([NEW]).stream()],
  ['an async generator', () => chunked(NEW, 1000)],
  ['a generator', () => [NEW].values()],
]

test.each(STREAMS)('%s that a failed put has read is refused by the next one', async (_name, open) => {
  const { store, expectOld } = await setUp()
  const body = open()
  await expect(store.put('lagoon', 'a', body)).rejects.toMatchObject({ code: 'ATOLL_BUCKET_NOT_FOUND' })
  for (const options of [{}, { length: 0 }, { length: NEW.length }]) {
    const again = store.put('reef', 'a', body, options)
    await expect(again).rejects.toMatchObject({ code: 'ATOLL_INVALID_BODY', definite: true })
    await expect(again).rejects.toThrow(/was given to a put before|was read before|is locked/)
  }
  await expectOld()
  await store.put('reef', 'a', open())
  expect((await store.head('reef', 'a')).size).toBe(NEW.length)
})

test.each(STREAMS)('%s is refused by another store, too', async (_name, open) => {
  const body = open()
  await (await setUp()).store.put('reef', 'a', body)
  const { store, expectOld } = await setUp()
  await expect(store.put('reef', 'a', body)).rejects.toMatchObject({ code: 'ATOLL_INVALID_BODY' })
  await expectOld()
})

test('what can be read again is taken again', async () => {
  const { store } = await setUp()
  for (const body of [
    NEW,
    'text',
    [NEW, NEW],
    new Set([NEW]),
    { [Symbol.asyncIterator]: () => chunked(NEW, 100) },
  ])
    for (const key of ['a', 'b']) await store.put('reef', key, body)
  expect((await store.list('reef')).objects.map(({ size }) => size)).toEqual([NEW.length, NEW.length])
})

describe('a stream that somebody else has used is refused', () => {
  const half = async (stream: ReadableStream<Uint8Array>) => {
    const reader = stream.getReader()
    await reader.read()
    reader.releaseLock()
    return stream
  }
  const locked = (stream: ReadableStream<Uint8Array>) => {
    stream.getReader()
    return stream
  }
  const consumed = async <T extends AsyncIterable<unknown>>(stream: T) => {
    for await (const _ of stream);
    return stream
  }
  const begun = async () => {
    const stream = Readable.from([NEW, NEW])
    await once(stream, 'readable')
    stream.read()
    return stream
  }
  const destroyed = () => {
    const stream = new PassThrough()
    stream.destroy()
    return stream
  }

  test.each<[string, () => ObjectBody | Promise<ObjectBody>, string, RegExp]>([
    ['a Node stream at its end', () => consumed(Readable.from([NEW])), 'INVALID', /was read before/],
    ['a Node stream of which a part was read', begun, 'INVALID', /was read before/],
    ['a Node stream that was destroyed', destroyed, 'INCOMPLETE', /destroyed before its end/],
    ['a web stream at its end', () => consumed(web(NEW)), 'INVALID', /was read before/],
    ['a web stream of which a part was read', () => half(web(NEW, NEW)), 'INVALID', /was read before/],
    ['a web stream that is locked', () => locked(web(NEW)), 'INVALID', /is locked/],
    ['a web stream that was closed at once', () => web(), 'INVALID', /at its end already/],
  ])('%s', async (_name, make, what, message) => {
    const { store, expectOld } = await setUp()
    const put = store.put('reef', 'a', await make())
    await expect(put).rejects.toMatchObject({ code: `ATOLL_${what}_BODY`, definite: true })
    await expect(put).rejects.toThrow(message)
    await expectOld()
  })

  test('but not an empty one', async () => {
    const { store } = await setUp()
    await store.put('reef', 'a', Readable.from([]))
    await store.put('reef', 'b', new Blob([]).stream())
    await store.put('reef', 'c', web(), { length: 0 })
    await store.put('reef', 'd', chunked(new Uint8Array(0), 10))
    expect((await store.list('reef')).objects.map(({ size }) => size)).toEqual([0, 0, 0, 0])
  })
})

describe('a put that is aborted ends a source that hangs', () => {
  test.each([0, 3 * BLOCK])('a Node stream, after %i bytes', async (bytes) => {
    const { store, expectOld } = await setUp()
    const stream = new PassThrough()
    if (bytes > 0) stream.write(pattern(bytes))
    const controller = new AbortController()
    const put = store.put('reef', 'a', stream, { signal: controller.signal })
    setImmediate(() => controller.abort())
    await expect(put).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
    expect(stream.destroyed).toBe(true)
    await expectOld()
  })

  test('a Node stream, before it was read', async () => {
    const { store } = await setUp()
    const stream = new PassThrough()
    const put = store.put('reef', 'a', stream, { signal: AbortSignal.abort() })
    await expect(put).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
    expect(stream.destroyed).toBe(true)
  })

  test('a web stream', async () => {
    const { store } = await setUp()
    const events = new EventEmitter()
    const cancelled = once(events, 'cancel')
    const stream = new ReadableStream<Uint8Array>({ cancel: () => void events.emit('cancel') })
    const controller = new AbortController()
    const put = store.put('reef', 'a', stream, { signal: controller.signal })
    setImmediate(() => controller.abort())
    await expect(put).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
    await cancelled
  })
})

describe('a put that is refused ends the source that it was given', () => {
  const KINDS: [string, () => { readonly body: ObjectBody; readonly isOver: () => boolean }][] = [
    [
      'a Node stream',
      () => {
        const body = new PassThrough()
        return { body, isOver: () => body.destroyed }
      },
    ],
    [
      'a web stream',
      () => {
        let isOver = false
        const cancel = () => {
          isOver = true
        }
        return { body: new ReadableStream<Uint8Array>({ cancel }), isOver: () => isOver }
      },
    ],
    [
      'an iterator',
      () => {
        let isOver = false
        const body: AsyncIterableIterator<Uint8Array> = {
          [Symbol.asyncIterator]: () => body,
          next: async () => ({ done: false, value: NEW }),
          return: async () => {
            isOver = true
            return { done: true, value: undefined }
          },
        }
        return { body, isOver: () => isOver }
      },
    ],
  ]
  const REFUSALS: [string, (store: ObjectStore, body: ObjectBody) => Promise<unknown>, string][] = [
    [
      'the store closes',
      async (store, body) => {
        await store.close()
        return store.put('reef', 'a', body)
      },
      'ATOLL_CLOSED',
    ],
    [
      'more is announced than an object may have',
      (store, body) => store.put('reef', 'a', body, { length: Number.MAX_SAFE_INTEGER }),
      'ATOLL_TOO_LARGE',
    ],
    [
      'the call is aborted already',
      (store, body) => store.put('reef', 'a', body, { signal: AbortSignal.abort() }),
      'ATOLL_ABORTED',
    ],
    ['there is no such bucket', (store, body) => store.put('lagoon', 'a', body), 'ATOLL_BUCKET_NOT_FOUND'],
    ['the key is none', (store, body) => store.put('reef', '', body), 'ATOLL_INVALID_ARGUMENT'],
    [
      'an option is none',
      (store, body) => store.put('reef', 'a', body, { length: -1 }),
      'ATOLL_INVALID_ARGUMENT',
    ],
  ]
  test.each(
    KINDS.flatMap(([kind, make]) => REFUSALS.map(([why, put, code]) => ({ kind, make, why, put, code }))),
  )('$kind, since $why', async ({ make, put, code }) => {
    const { store } = await setUp()
    const { body, isOver } = make()
    await expect(put(store, body)).rejects.toMatchObject({ code })
    expect(isOver()).toBe(true)
  })

  test('but not one that somebody else reads', async () => {
    const { store } = await setUp()
    const body = new PassThrough()
    const put = store.put('reef', 'b', body)
    await expect(store.put('reef', 'c', body)).rejects.toMatchObject({ code: 'ATOLL_INVALID_BODY' })
    expect(body.destroyed).toBe(false)
    body.end(NEW)
    expect(await put).toMatchObject({ size: NEW.length })
  })
})

test('a client that hangs up is told from a wrong body', async () => {
  const { store, expectOld } = await setUp()
  const puts = new EventEmitter()
  const server = createServer((incoming) => {
    store
      .put('reef', 'a', incoming, { length: 10 * BLOCK })
      .catch((error: unknown) => puts.emit('failed', error))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  const failed = once(puts, 'failed')
  const client = request({
    port,
    host: '127.0.0.1',
    method: 'PUT',
    headers: { 'content-length': 10 * BLOCK },
  })
  client.on('error', () => {})
  client.write(pattern(2 * BLOCK), () => client.destroy())
  expect(await failed).toMatchObject([{ code: 'ATOLL_INCOMPLETE_BODY', definite: true }])
  await expectOld()
  server.close()
})
