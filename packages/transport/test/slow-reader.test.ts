import type { AtollError, Clock } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import {
  BatchCalls,
  BatchServer,
  type ByteStream,
  batchMethod,
  type Connection,
  type Frame,
  type Method,
  RpcEndpoint,
  type RpcOptions,
  type StreamMethod,
  type Transport,
} from '../src/index.ts'
import { bodyText, COUNT, createTestCluster, ECHO_BODY, outcome, text } from './world.ts'

const SOON = { timeoutMs: 10_000 }
const KiB = 1024

/** Asks for so many bytes. */
const LOAD: Method<number, string> = { name: 'test.load', request: COUNT.request, response: bodyText }
const ALIVE: Method<string, string> = { name: 'test.alive', request: text, response: text, urgent: true }
const WHO: Method<string, string> = {
  name: 'test.who',
  request: text,
  response: text,
  openToStrangers: true,
}

/** A way that takes one large frame in a millisecond, or none while it is shut, and any number of small ones. */
class Narrow implements Connection {
  readonly peer: string
  readonly #inner: Connection
  readonly #way: Way

  constructor(inner: Connection, way: Way) {
    this.#inner = inner
    this.#way = way
    this.peer = inner.peer
  }

  set onFrame(onFrame: (frame: Frame) => void) {
    this.#inner.onFrame = onFrame
  }

  set onClose(onClose: (reason: Error | undefined) => void) {
    this.#inner.onClose = onClose
  }

  send(frame: Frame): Promise<void> | undefined {
    void this.#inner.send(frame)
    return (frame.body?.length ?? 0) < KiB ? undefined : this.#way.pass()
  }

  close(reason?: AtollError): void {
    this.#inner.close(reason)
  }
}

class Way {
  readonly #clock: Clock
  #opened: Promise<void> | undefined
  #open = () => {}

  constructor(clock: Clock) {
    this.#clock = clock
  }

  shut(): void {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve
    })
  }

  open(): void {
    this.#open()
    this.#opened = undefined
  }

  async pass(): Promise<void> {
    await (this.#opened ?? this.#clock.sleep(1))
  }
}

/** `a` asks `b`, which answers along a narrow way. */
async function createPair(options: Partial<RpcOptions> = {}) {
  const cluster = createTestCluster()
  const { network, clock, runtime } = cluster
  const way = new Way(clock)
  const transport: Transport = {
    listen: (address, onConnection) =>
      network.transport('b').listen(address, (connection) => onConnection(new Narrow(connection, way))),
    connect: (address, how) => network.transport('b').connect(address, how),
  }
  const a = await cluster.endpoint('a', { maxInFlightPerPeer: 10_000 })
  const b = new RpcEndpoint(
    runtime,
    { transport, addressOf: (name) => name },
    { node: 'b', maxQueuedBytes: 256 * KiB, ...options },
  )
  await b.open()
  const served: string[] = []
  const serve = (method: Method<string, string>) =>
    b.handle(method, async (request) => {
      served.push(request.slice(0, 16))
      return request
    })
  for (const method of [ALIVE, WHO, ECHO_BODY]) serve(method)
  let running = 0
  let most = 0
  const gates: (() => void)[] = []
  let gated = false
  b.handle(LOAD, async (bytes) => {
    most = Math.max(most, ++running)
    if (gated) await new Promise<void>((resolve) => gates.push(resolve))
    running -= 1
    served.push(String(bytes))
    return 'x'.repeat(bytes)
  })
  await a.call('b', WHO, 'first', SOON)
  served.length = 0
  const count = (name: string, labels = {}) => cluster.metrics.value(name, labels) ?? 0
  return {
    ...cluster,
    way,
    a,
    b,
    served,
    gates,
    hold: () => (gated = true),
    most: () => most,
    held: () => count('atoll_rpc_held_total'),
    overloaded: (what: string) => count('atoll_rpc_overloaded_total', { what }),
  }
}

type World = Awaited<ReturnType<typeof createPair>>

/** From now on `a` reads nothing; `b` is made to answer until it takes up no more. */
async function crowd({
  a,
  way,
  clock,
  served,
}: World): Promise<{ readonly calls: Promise<number | string>[] }> {
  way.shut()
  const calls = Array.from({ length: 20 }, () => outcomeOf(a.call('b', LOAD, 2 * KiB, SOON)))
  await clock.advance(20)
  expect(served.splice(0)).toHaveLength(20)
  return { calls }
}

async function outcomeOf(call: Promise<string>): Promise<number | string> {
  return call.then(
    (answer) => answer.length,
    (error) => `${error.code} ${error.definite}`,
  )
}

describe('a peer that asks for more than it reads', () => {
  test('gets every answer: its requests wait for it, and its connection stays', async () => {
    const world = await createPair()
    const { a, clock, held, overloaded, most } = world
    const calls: Promise<number | string>[] = []
    // 500 answers of 2 KiB are four times what may wait at all.
    for (let round = 0; round < 50; round++) {
      for (let at = 0; at < 10; at++) calls.push(outcomeOf(a.call('b', LOAD, 2 * KiB, SOON)))
      await clock.advance(1)
    }
    await clock.advance(1000)
    expect(await Promise.all(calls)).toEqual(calls.map(() => 2 * KiB))
    expect(held()).toBeGreaterThan(0)
    expect(['answer', 'handlers', 'queue'].map(overloaded)).toEqual([0, 0, 0])
    expect(most()).toBeLessThanOrEqual(16)
    expect(a.peers).toEqual(['b'])
  })

  test('gets all that handlers answer which were at work before, in one burst', async () => {
    const { a, clock, held, overloaded } = await createPair()
    const calls = Array.from({ length: 100 }, () => outcomeOf(a.call('b', LOAD, 2 * KiB, SOON)))
    await clock.advance(1000)
    expect(await Promise.all(calls)).toEqual(calls.map(() => 2 * KiB))
    expect([held(), overloaded('answer')]).toEqual([0, 0])
  })

  test('of answers that are too many loses those that are too many, for nobody can know whether they were done', async () => {
    const { a, b, clock, hold, gates, overloaded } = await createPair()
    hold()
    const calls = Array.from({ length: 200 }, () => outcomeOf(a.call('b', LOAD, 2 * KiB, SOON)))
    await clock.advance(50)
    for (const open of gates) open()
    await clock.advance(1000)
    const outcomes = await Promise.all(calls)
    const [answered, lost] = [2 * KiB, 'ATOLL_OVERLOADED false'].map(
      (outcome) => outcomes.filter((one) => one === outcome).length,
    )
    expect(answered).toBeGreaterThanOrEqual(100)
    expect([answered, lost]).toEqual([200 - overloaded('answer'), overloaded('answer')])
    expect([a.peers, b.peers]).toEqual([['b'], ['a']])
  })

  test('of answers of batches loses those that are too many, and its connection stays', async () => {
    const { a, b, runtime, clock, way, overloaded } = await createPair({ capabilities: ['batches'] })
    const batch = batchMethod('test.batch')
    const server = new BatchServer(b, batch, runtime)
    const gates: (() => void)[] = []
    let finish = () => {}
    const finished = new Promise<void>((resolve) => {
      finish = resolve
    })
    const gated: Method<string, string> = { ...ECHO_BODY, name: 'test.gated' }
    const slow: Method<string, string> = { ...ECHO_BODY, name: 'test.slow' }
    server.handle(gated, async (request) => {
      await new Promise<void>((resolve) => void gates.push(resolve))
      return request
    })
    server.handle(slow, async (request) => {
      await finished
      return request
    })
    const calls = new BatchCalls({ endpoint: a, method: batch, capability: 'batches' })
    const loads: Promise<number | string>[] = []
    const ends: Promise<number | string>[] = []
    for (let round = 0; round < 20; round++) {
      for (let at = 0; at < 3; at++) loads.push(outcomeOf(calls.call('b', gated, 'x'.repeat(8 * KiB), SOON)))
      ends.push(outcomeOf(calls.call('b', slow, 'slow', SOON)))
      await clock.advance(1)
    }
    expect(gates).toHaveLength(60)
    way.shut()
    for (const open of gates) open()
    await clock.advance(10)
    expect(overloaded('answer')).toBeGreaterThan(0)
    way.open()
    await clock.advance(100)
    finish()
    await clock.advance(100)
    expect(await Promise.all(ends)).toEqual(ends.map(() => 'slow'.length))
    const outcomes = await Promise.all(loads)
    const lost = outcomes.filter((one) => one === 'ATOLL_OVERLOADED false').length
    expect(lost).toBe(3 * overloaded('answer'))
    expect(outcomes.filter((one) => one === 8 * KiB).length).toBe(60 - lost)
    expect([a.peers, b.peers]).toEqual([['b'], ['a']])
  })

  test('waits in order; urgent requests and those of strangers go on', async () => {
    const world = await createPair()
    const { calls } = await crowd(world)
    const { a, clock, way, served, held } = world
    for (let at = 0; at < 5; at++) calls.push(outcomeOf(a.call('b', LOAD, at, SOON)))
    const [alive, who] = [a.call('b', ALIVE, 'alive', SOON), a.call('b', WHO, 'who', SOON)]
    await clock.advance(20)
    expect(served.sort()).toEqual(['alive', 'who'])
    expect(held()).toBe(5)
    way.open()
    await clock.advance(100)
    expect([await alive, await who]).toEqual(['alive', 'who'])
    expect(served.slice(2)).toEqual(['0', '1', '2', '3', '4'])
    expect((await Promise.all(calls)).slice(20)).toEqual([0, 1, 2, 3, 4])
  })

  test('may give up a request that waits, or let its time pass: it is not served', async () => {
    const world = await createPair()
    await crowd(world)
    const { a, clock, way, served } = world
    const stop = new AbortController()
    const given = outcomeOf(a.call('b', LOAD, 1, { ...SOON, signal: stop.signal }))
    const late = outcomeOf(a.call('b', LOAD, 2, { timeoutMs: 30 }))
    const kept = outcomeOf(a.call('b', LOAD, 3, SOON))
    await clock.advance(10)
    stop.abort()
    await clock.advance(40)
    expect([await given, await late]).toEqual(['ATOLL_ABORTED false', 'ATOLL_TIMEOUT false'])
    way.open()
    await clock.advance(100)
    expect(await kept).toBe(3)
    expect(served).toEqual(['3'])
  })

  test.each<[string, Partial<RpcOptions>, number]>([
    ['many', { maxInFlightPerPeer: 7 }, 7],
    // Of 256 KiB seven eighths, less what waits after 20 answers of 2 KiB, hold so many requests of 20 KiB.
    ['large', {}, 9],
  ])('has single requests refused when too %s of them wait', async (_, options, fit) => {
    const world = await createPair(options)
    const { calls } = await crowd(world)
    const { a, b, clock, way, overloaded, served } = world
    const large = 'x'.repeat(20 * KiB)
    const later = Array.from({ length: 12 }, () => outcomeOf(a.call('b', ECHO_BODY, large, SOON)))
    await clock.advance(50)
    way.open()
    await clock.advance(500)
    const refused = 'ATOLL_OVERLOADED true'
    const expected = Array.from({ length: 12 }, (_unused, at) => (at < fit ? large.length : refused))
    expect(await Promise.all(later)).toEqual(expected)
    expect(overloaded('queue')).toBe(12 - fit)
    expect(served).toHaveLength(fit)
    expect(await Promise.all(calls)).toEqual(calls.map(() => 2 * KiB))
    expect([a.peers, b.peers]).toEqual([['b'], ['a']])
  })

  test('has all its requests taken up when nothing waits any more, also while handlers wait for other nodes', async () => {
    const world = await createPair()
    const { a, clock, hold, gates, way } = world
    hold()
    const stuck = Array.from({ length: 20 }, () => outcomeOf(a.call('b', LOAD, 2 * KiB, SOON)))
    await clock.advance(20)
    const { calls } = await crowd({ ...world, served: Array.from({ length: 20 }, () => '') })
    expect(gates).toHaveLength(40)
    for (const open of gates.splice(20)) open()
    await clock.advance(20)
    const later = Array.from({ length: 60 }, () => outcomeOf(a.call('b', LOAD, 1, SOON)))
    await clock.advance(20)
    expect(gates).toHaveLength(20)
    way.open()
    await clock.advance(100)
    expect(await Promise.all(calls)).toEqual(calls.map(() => 2 * KiB))
    expect(gates).toHaveLength(80)
    for (const open of gates) open()
    await clock.advance(200)
    expect(await Promise.all([...stuck, ...later])).toEqual([
      ...stuck.map(() => 2 * KiB),
      ...later.map(() => 1),
    ])
  })

  test('leaves nothing behind when its connection ends', async () => {
    const world = await createPair()
    const { calls } = await crowd(world)
    const { a, b, clock, network, served } = world
    for (let at = 0; at < 5; at++) calls.push(outcomeOf(a.call('b', LOAD, at, SOON)))
    await clock.advance(20)
    network.cut('a')
    await clock.advance(20)
    expect(b.peers).toEqual([])
    await b.close()
    await a.close()
    await clock.advance(10_000)
    expect(served).toEqual([])
    expect(clock.pending).toBe(0)
    const [first, ...others] = await Promise.all(calls)
    expect(first).toBe(2 * KiB)
    expect(new Set(others)).toEqual(new Set(['ATOLL_UNREACHABLE false']))
  })

  test('is cut off when it leaves even small words unread, and told so', async () => {
    const { a, b, clock, way } = await createPair({ maxQueuedBytes: 8 * KiB })
    b.handle(COUNT, async (limit, context) => {
      for (let value = 0; value < limit; value++) context.progress(value)
      return 'done'
    })
    way.shut()
    const calls = [outcomeOf(a.call('b', LOAD, 2 * KiB, SOON))]
    await clock.advance(10)
    const flood = a.call('b', COUNT, 2000, SOON).catch((error) => error)
    await clock.advance(10)
    expect(await flood).toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: false,
      message:
        'test.count on b was lost before it answered: b said: a does not read: more than 8192 bytes wait for it',
    })
    expect(await Promise.all(calls)).toEqual([2 * KiB])
    expect(a.peers).toEqual([])
  })
})

describe('streams beside calls that never leave room', () => {
  const CHUNK = 2 * KiB
  const COPY: StreamMethod<string> = { name: 'test.copy', request: text }
  const CHUNKS = Array.from({ length: 10 }, (_, at) => new Uint8Array(CHUNK).fill(at))

  /** Keeps so many calls under way until it is told to stop. */
  function keepAsking(ask: () => Promise<unknown>, count: number) {
    let isOver = false
    const work = async () => {
      while (!isOver) await ask()
    }
    const asking = Promise.all(Array.from({ length: count }, work))
    return () => {
      isOver = true
      return asking
    }
  }

  async function read(stream: ByteStream): Promise<number[]> {
    const seen: number[] = []
    for await (const chunk of stream) seen.push(chunk[0] ?? -1)
    return seen
  }

  test('go on, one chunk at a time: those of whoever answers', async () => {
    const { a, b, clock } = await createPair({ streamChunkBytes: CHUNK })
    b.handleStream(COPY, async (_request, stream) => {
      for (const chunk of CHUNKS) await stream.write(chunk)
    })
    const stop = keepAsking(() => a.call('b', LOAD, CHUNK, SOON), 40)
    await clock.advance(100)
    const reading = [read(await a.openStream('b', COPY, '1')), read(await a.openStream('b', COPY, '2'))]
    await clock.advance(2000)
    const numbers = CHUNKS.map((_, at) => at)
    expect(await Promise.all(reading.map((one) => outcome(one)))).toEqual([
      { value: numbers },
      { value: numbers },
    ])
    const stopped = stop()
    await clock.advance(100)
    await stopped
  })

  test('go on, one chunk at a time: those of whoever asks', async () => {
    const cluster = createTestCluster()
    const way = new Way(cluster.clock)
    const transport: Transport = {
      listen: (address, onConnection) => cluster.network.transport('a').listen(address, onConnection),
      connect: async (address, how) =>
        new Narrow(await cluster.network.transport('a').connect(address, how), way),
    }
    const collaborators = { transport, addressOf: (name: string) => name }
    const a = new RpcEndpoint(cluster.runtime, collaborators, { node: 'a', streamChunkBytes: CHUNK })
    await a.open()
    const b = await cluster.endpoint('b')
    b.handle(ECHO_BODY, async () => '')
    let seen: number[] = []
    b.handleStream(COPY, async (_request, stream) => {
      seen = await read(stream)
    })
    const stop = keepAsking(() => a.call('b', ECHO_BODY, 'x'.repeat(CHUNK), SOON), 40)
    await cluster.clock.advance(100)
    const stream = await a.openStream('b', COPY, '')
    const writing = (async () => {
      for (const chunk of CHUNKS) await stream.write(chunk)
      stream.end()
    })()
    await cluster.clock.advance(2000)
    expect(await outcome(writing)).toEqual({ value: undefined })
    expect(seen).toEqual(CHUNKS.map((_, at) => at))
    const stopped = stop()
    await cluster.clock.advance(100)
    await stopped
  })
})

test('a stream whose opening is too much for the queue fails with the connection, and is not left to its idle timeout', async () => {
  const cluster = createTestCluster()
  const { network, clock, runtime } = cluster
  const way = new Way(clock)
  const transport: Transport = {
    listen: (address, onConnection) => network.transport('a').listen(address, onConnection),
    connect: async (address, how) => new Narrow(await network.transport('a').connect(address, how), way),
  }
  const a = new RpcEndpoint(
    runtime,
    { transport, addressOf: (name) => name },
    { node: 'a', maxQueuedBytes: 256 * KiB },
  )
  await a.open()
  const b = await cluster.endpoint('b')
  const method: StreamMethod<string> = { name: 'test.stream', request: bodyText }
  b.handleStream(method, async (_request, stream) => stream.end())
  b.handle(WHO, async (request) => request)
  await a.call('b', WHO, 'first', SOON)
  way.shut()
  const streams: ByteStream[] = []
  // One is on its way, two wait, and the fourth is too much.
  for (const _ of [1, 2, 3, 4]) streams.push(await a.openStream('b', method, 'x'.repeat(100 * KiB)))
  for (const stream of streams.slice(1)) {
    const read = stream[Symbol.asyncIterator]().next()
    expect(await outcome(read)).toMatchObject({ error: { code: 'ATOLL_OVERLOADED', definite: false } })
  }
})
