import { AtollError, concatBytes, equalBytes, fromUtf8, utf8 } from '@atoll/core'
import type { ByteStream, StreamMethod } from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import { createTestCluster, outcome, settle, type TestCluster, text } from './world.ts'

const PIPE: StreamMethod<string> = { name: 'test.pipe', request: text }
const WINDOW = { streamWindowBytes: 8192, streamChunkBytes: 2048 }

async function pair(cluster: TestCluster = createTestCluster(), options: object = WINDOW) {
  const [a, b] = [await cluster.endpoint('a', options), await cluster.endpoint('b', options)]
  return { ...cluster, a, b }
}

async function readAll(stream: ByteStream): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return concatBytes(chunks)
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 31) % 251)
}

describe('a stream', () => {
  test('carries bytes both ways, many windows of them, and ends when its handler returns', async () => {
    const { a, b } = await pair()
    b.handleStream(PIPE, async (request, stream, { from }) => {
      await stream.write(utf8(`${request} from ${from}: `))
      for await (const chunk of stream) await stream.write(chunk)
    })
    const stream = await a.openStream('b', PIPE, 'echo')
    const sent = pattern(100_000)
    const answer = readAll(stream)
    for (let at = 0; at < sent.length; at += 7777) await stream.write(sent.slice(at, at + 7777))
    stream.end()
    expect(equalBytes(await answer, concatBytes([utf8('echo from a: '), sent]))).toBe(true)
  })

  test('holds no more than the window for a reader that is slow', async () => {
    const { a, b } = await pair()
    const streams: ByteStream[] = []
    b.handleStream(PIPE, async (_request, stream, { signal }) => {
      streams.push(stream)
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    })
    const stream = await a.openStream('b', PIPE, '')
    let written = 0
    const writing = (async () => {
      for (; written < 40; written++) await stream.write(pattern(1000))
    })()
    await settle()
    expect(written * 1000).toBeLessThanOrEqual(8192)
    expect(written).toBeGreaterThan(4)
    const before = written
    const reader = streams[0]![Symbol.asyncIterator]()
    for (let count = 0; count < 6; count++) await reader.next()
    await settle()
    expect(written).toBeGreaterThan(before)
    stream.abort(new Error('enough'))
    await expect(writing).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
  })

  test('fails on both sides with the error that either side gives', async () => {
    const { a, b } = await pair()
    const seen: unknown[] = []
    b.handleStream(PIPE, async (request, stream, { signal }) => {
      if (request === 'refuse') throw new AtollError('ATOLL_LOCKED', 'not now')
      await readAll(stream).catch((error) => seen.push(error.code, signal.aborted))
    })
    const refused = await a.openStream('b', PIPE, 'refuse')
    await expect(readAll(refused)).rejects.toMatchObject({ code: 'ATOLL_LOCKED', message: 'not now' })
    await expect(refused.write(utf8('x'))).rejects.toMatchObject({ code: 'ATOLL_LOCKED' })
    const aborted = await a.openStream('b', PIPE, 'read')
    await aborted.write(utf8('x'))
    aborted.abort(new AtollError('ATOLL_INVALID_BODY', 'the source failed'))
    await settle()
    expect(seen).toEqual(['ATOLL_INVALID_BODY', true])
    await expect(aborted.write(utf8('y'))).rejects.toMatchObject({ code: 'ATOLL_INVALID_BODY' })
  })

  test('whose handler fails unexpectedly is logged there, once, and has an unknown outcome', async () => {
    const { a, b, errors } = await pair()
    b.handleStream(PIPE, async (_request, stream) => {
      await readAll(stream).catch(() => {
        throw new Error('because the stream failed')
      })
      throw new Error('oops')
    })
    const stream = await a.openStream('b', PIPE, '')
    stream.end()
    await expect(readAll(stream)).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: false })
    expect(errors).toMatchObject([{ method: 'test.pipe', from: 'a', err: { message: 'oops' } }])
    const given = await a.openStream('b', PIPE, '')
    given.abort(new Error('enough'))
    await settle()
    expect(errors.length).toBe(1)
  })

  test('whose handler returns early ends for its reader and refuses its writer', async () => {
    const { a, b } = await pair()
    b.handleStream(PIPE, async (_request, stream) => stream.write(utf8('that will do')))
    const stream = await a.openStream('b', PIPE, '')
    const writing = stream.write(pattern(100_000)).catch((e) => e)
    expect(fromUtf8(await readAll(stream))).toBe('that will do')
    expect(await writing).toMatchObject({ code: 'ATOLL_CLOSED' })
    await expect(stream.write(utf8('x'))).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  })

  test('whose reader leaves early is aborted', async () => {
    const { a, b } = await pair()
    const seen: Promise<unknown>[] = []
    b.handleStream(PIPE, (_request, stream) => {
      const writing = stream.write(pattern(100_000))
      seen.push(writing.catch((e) => e.code))
      return writing
    })
    const stream = await a.openStream('b', PIPE, '')
    for await (const chunk of stream) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    expect(await seen[0]).toBe('ATOLL_ABORTED')
  })

  test('can be given up through a signal, before it stands and after', async () => {
    const { a, b, network } = await pair()
    b.handleStream(PIPE, async (_request, stream) => void (await readAll(stream)))
    const stop = new AbortController()
    const stream = await a.openStream('b', PIPE, '', { signal: stop.signal })
    const reading = readAll(stream).catch((e) => e)
    stop.abort(new Error('enough'))
    expect(await reading).toMatchObject({
      code: 'ATOLL_ABORTED',
      cause: { message: 'enough' },
      definite: false,
    })
    network.cut('a')
    network.restore('a')
    network.partition(['a'], ['b'])
    await settle()
    const later = new AbortController()
    const opening = a.openStream('b', PIPE, '', { signal: later.signal }).catch((e) => e)
    await settle()
    later.abort()
    expect(await opening).toMatchObject({ code: 'ATOLL_ABORTED', definite: true })
  })

  test('that cannot be opened rejects for certain', async () => {
    const { a, b } = await pair(createTestCluster(), { ...WINDOW, maxStreamsPerPeer: 1 })
    await expect(a.openStream('c', PIPE, '')).rejects.toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: true,
    })
    const unserved = await a.openStream('b', PIPE, '')
    await expect(readAll(unserved)).rejects.toMatchObject({ code: 'ATOLL_PROTOCOL' })
    b.handleStream(PIPE, async (_request, stream) => void (await readAll(stream)))
    const first = await a.openStream('b', PIPE, '')
    await expect(a.openStream('b', PIPE, '')).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED' })
    first.end()
    expect(await readAll(first)).toEqual(new Uint8Array(0))
    await a.openStream('b', PIPE, '')
  })

  test('takes one write and one read at a time', async () => {
    const { a, b } = await pair()
    b.handleStream(PIPE, () => new Promise(() => {}))
    const stream = await a.openStream('b', PIPE, '')
    const first = stream.write(pattern(100_000)).catch((e) => e)
    await expect(stream.write(utf8('x'))).rejects.toThrow(/await it first/)
    expect(() => stream.end()).toThrow(/await it first/)
    const reader = stream[Symbol.asyncIterator]()
    const reading = reader.next().catch((e) => e)
    await expect(reader.next()).rejects.toThrow(/has a reader/)
    stream.abort(new Error('done'))
    await Promise.all([first, reading])
  })
})

describe('a stream on a bad network', () => {
  test('ignores repeated frames', async () => {
    const { a, b, marks } = await pair(createTestCluster({ duplicatePerMillion: 1_000_000 }))
    b.handleStream(PIPE, async (_request, stream) => {
      for await (const chunk of stream) await stream.write(chunk)
    })
    const stream = await a.openStream('b', PIPE, '')
    const answer = readAll(stream)
    await stream.write(pattern(50_000))
    stream.end()
    expect(equalBytes(await answer, pattern(50_000))).toBe(true)
    expect(marks).toContain('rpc.stream-repeated')
  })

  test('fails on both sides when a chunk is lost', async () => {
    const { a, b, network } = await pair()
    const seen: Promise<unknown>[] = []
    b.handleStream(PIPE, (_request, stream) => {
      const reading = readAll(stream)
      seen.push(reading.catch((e) => e))
      return reading.then(() => {})
    })
    const stream = await a.openStream('b', PIPE, '')
    await stream.write(utf8('one'))
    network.configure({ lossPerMillion: 1_000_000 })
    await stream.write(utf8('two'))
    network.heal()
    await stream.write(utf8('three'))
    expect(await seen[0]).toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: false,
      message: /bytes 3 to 6/,
    })
    await expect(readAll(stream)).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: false })
  })

  test('survives the loss of a grant and of the end, which are said again', async () => {
    const { a, b, network, clock } = await pair()
    const seen: Promise<Uint8Array>[] = []
    b.handleStream(PIPE, async (_request, stream) => {
      seen.push(readAll(stream))
      await seen[0]
    })
    const stream = await a.openStream('b', PIPE, '')
    await settle()
    // Nothing comes back, so no grant does.
    network.partition(['b'], ['a'], { oneWay: true })
    const writing = stream.write(pattern(20_000))
    expect((await outcome(writing)).pending).toBe(true)
    network.heal()
    await clock.advance(21_000)
    await writing
    network.partition(['a'], ['b'], { oneWay: true })
    stream.end()
    await settle()
    network.heal()
    await clock.advance(21_000)
    expect(equalBytes(await seen[0]!, pattern(20_000))).toBe(true)
    expect(await readAll(stream)).toEqual(new Uint8Array(0))
  })

  test('stands while nothing is said on it, and fails when the peer is silent', async () => {
    const { a, b, network, clock } = await pair()
    b.handleStream(PIPE, async (_request, stream) => void (await readAll(stream)))
    const stream = await a.openStream('b', PIPE, '')
    const reading = readAll(stream).catch((e) => e)
    await clock.advance(300_000)
    expect((await outcome(reading)).pending).toBe(true)
    network.partition(['a'], ['b'])
    await clock.advance(45_000)
    expect(await reading).toMatchObject({ code: 'ATOLL_TIMEOUT', definite: false })
  })

  test('fails when the connection breaks', async () => {
    const { a, b, network } = await pair()
    const aborted: boolean[] = []
    b.handleStream(PIPE, async (_request, stream, { signal }) => {
      await readAll(stream).catch(() => aborted.push(signal.aborted))
    })
    const stream = await a.openStream('b', PIPE, '')
    const reading = readAll(stream).catch((e) => e)
    await settle()
    network.cut('b')
    expect(await reading).toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: false })
    expect(aborted).toEqual([true])
  })

  test('waits when the connection is full, and shares it with calls and other streams', async () => {
    const { a, b, clock } = await pair(
      createTestCluster({ highWaterBytes: 3000, delayMs: { min: 1, max: 3 } }),
    )
    b.handleStream(PIPE, async (_request, stream) => {
      for await (const chunk of stream) await stream.write(chunk)
    })
    const opened = Promise.all(['1', '2', '3'].map((name) => a.openStream('b', PIPE, name)))
    await clock.advance(20)
    const streams = await opened
    const answers = Promise.all(streams.map(readAll))
    const writing = Promise.all(
      streams.map(async (stream) => {
        await stream.write(pattern(30_000))
        stream.end()
      }),
    )
    await clock.advance(2000)
    await writing
    for (const answer of await answers) expect(equalBytes(answer, pattern(30_000))).toBe(true)
  })
})
