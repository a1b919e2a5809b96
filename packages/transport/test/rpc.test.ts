import { AtollError } from '@atoll/core'
import { RpcEndpoint } from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import { COUNT, createTestCluster, ECHO, ECHO_BODY, outcome, settle, type TestCluster } from './world.ts'

const SOON = { timeoutMs: 100 }

async function pair(cluster: TestCluster = createTestCluster()) {
  const [a, b] = [await cluster.endpoint('a'), await cluster.endpoint('b')]
  return { ...cluster, a, b }
}

/** A handler that answers when told to, and shows its calls. */
function patient() {
  const calls: { request: string; signal: AbortSignal; remainingMs: number; from: string }[] = []
  const answers: ((answer: string) => void)[] = []
  const handler = (
    request: string,
    { signal, remainingMs, from }: { signal: AbortSignal; remainingMs: number; from: string },
  ) => {
    calls.push({ request, signal, remainingMs, from })
    return new Promise<string>((resolve) => answers.push(resolve))
  }
  return { calls, answers, handler }
}

describe('a call', () => {
  test('is answered, with a body and without, over one connection', async () => {
    const { a, b } = await pair()
    b.handle(ECHO, async (request, { from }) => `${request} from ${from}`)
    b.handle(ECHO_BODY, async (request) => request.toUpperCase())
    const answers = await Promise.all([
      a.call('b', ECHO, 'one', SOON),
      a.call('b', ECHO_BODY, 'two', SOON),
      a.call('b', ECHO, 'three', SOON),
    ])
    expect(answers).toEqual(['one from a', 'TWO', 'three from a'])
    expect(a.peers).toEqual(['b'])
  })

  test('tells progress in order before its answer', async () => {
    const { a, b } = await pair(createTestCluster({ duplicatePerMillion: 1_000_000 }))
    b.handle(COUNT, async (limit, context) => {
      for (let value = 1; value <= limit; value++) context.progress(value)
      return 'done'
    })
    const seen: number[] = []
    const answer = await a.call('b', COUNT, 4, { ...SOON, onProgress: (value) => seen.push(value) })
    expect({ answer, seen }).toEqual({ answer: 'done', seen: [1, 2, 3, 4] })
  })

  test('fails with the error of its handler: code, verdicts and plain details', async () => {
    const { a, b } = await pair()
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`detail${at}`, at]))
    b.handle(ECHO, async () => {
      throw new AtollError('ATOLL_LOCKED', 'busy', {
        definite: false,
        transient: false,
        details: {
          bytes: 7,
          held: true,
          by: 'me',
          deep: {},
          long: 'x'.repeat(1000),
          nan: Number.NaN,
          ...many,
        },
        cause: new Error('inner'),
      })
    })
    const error = await a.call('b', ECHO, '', SOON).catch((e) => e)
    expect(error).toMatchObject({ code: 'ATOLL_LOCKED', message: 'busy', definite: false, transient: false })
    expect(error.details).toMatchObject({ bytes: 7, held: true, by: 'me', detail12: 12 })
    expect(Object.keys(error.details).length).toBe(16)
    expect(error.cause).toBeUndefined()
  })

  test('whose handler fails unexpectedly has an unknown outcome, and is logged there', async () => {
    const { a, b, errors } = await pair()
    b.handle(ECHO, () => {
      throw new Error('oops')
    })
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_STORAGE',
      definite: false,
    })
    expect(errors).toMatchObject([{ method: 'test.echo', from: 'a' }])
  })
})

describe('the outcome of a call', () => {
  test('is definite when nobody listens, and nothing was sent', async () => {
    const { a } = await pair()
    const error = await a.call('c', ECHO, '', SOON).catch((e) => e)
    expect(error).toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: true })
  })

  test('is definite when the connection does not stand in time', async () => {
    const { a, network, clock } = await pair()
    network.partition(['a'], ['b'])
    const seen = a.call('b', ECHO, '', SOON).catch((e) => e)
    await clock.advance(110)
    expect(await seen).toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: true })
  })

  test('is unknown when the time is over after it was sent', async () => {
    const { a, b, clock } = await pair()
    const { handler, calls, answers } = patient()
    b.handle(ECHO, handler)
    const seen = a.call('b', ECHO, 'slow', SOON).catch((e) => e)
    await clock.advance(99)
    expect(calls[0]?.signal.aborted).toBe(false)
    await clock.advance(10)
    expect(await seen).toMatchObject({ code: 'ATOLL_TIMEOUT', definite: false, details: { node: 'b' } })
    expect(calls[0]?.signal.reason).toMatchObject({ code: 'ATOLL_TIMEOUT' })
    answers[0]?.('too late')
    await settle()
    expect(await outcome(a.call('b', ECHO, 'next', SOON))).toEqual({ pending: true })
  })

  test('is unknown when the connection breaks after it was sent, and the handler is told', async () => {
    const { a, b, network } = await pair()
    const { handler, calls } = patient()
    b.handle(ECHO, handler)
    const seen = a.call('b', ECHO, '', SOON).catch((e) => e)
    await settle()
    network.cut('a')
    expect(await seen).toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: false })
    expect(calls[0]?.signal.aborted).toBe(true)
  })

  test('is an abort with the reason of the signal, and the handler is told', async () => {
    const { a, b } = await pair()
    const { handler, calls } = patient()
    b.handle(ECHO, handler)
    const stop = new AbortController()
    const seen = a.call('b', ECHO, '', { ...SOON, signal: stop.signal }).catch((e) => e)
    await settle()
    stop.abort(new Error('enough'))
    expect(await seen).toMatchObject({ code: 'ATOLL_ABORTED', definite: false, cause: { message: 'enough' } })
    await settle()
    expect(calls[0]?.signal.reason).toMatchObject({ code: 'ATOLL_ABORTED' })
    const early = await a.call('b', ECHO, '', { ...SOON, signal: stop.signal }).catch((e) => e)
    expect(early).toMatchObject({ code: 'ATOLL_ABORTED', definite: true })
    expect(calls.length).toBe(1)
  })

  test('is definite when it is aborted before the connection stands', async () => {
    const { a, network } = await pair()
    network.partition(['a'], ['b'])
    const stop = new AbortController()
    const seen = a.call('b', ECHO, '', { ...SOON, signal: stop.signal }).catch((e) => e)
    stop.abort()
    expect(await seen).toMatchObject({ code: 'ATOLL_ABORTED', definite: true })
  })

  test('is definite when its time was over before it began', async () => {
    const { a } = await pair()
    const error = await a.call('b', ECHO, '', { timeoutMs: 0 }).catch((e) => e)
    expect(error).toMatchObject({ code: 'ATOLL_TIMEOUT', definite: true })
    await expect(a.call('b', ECHO, '', { timeoutMs: Number.NaN })).rejects.toThrow(RangeError)
  })

  test('is that nobody serves the method, or that the request cannot be read, for certain', async () => {
    const { a, b } = await pair()
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
    })
    b.handle({ ...ECHO, request: COUNT.request }, async () => 'never')
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
    })
  })

  test('is unknown when the answer cannot be read or is too large to be sent', async () => {
    const cluster = createTestCluster()
    const a = await cluster.endpoint('a')
    const b = await cluster.endpoint('b', { maxBodyBytes: 4096, streamChunkBytes: 1024 })
    b.handle({ ...ECHO, response: COUNT.request }, async () => 7)
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_CORRUPT',
      definite: false,
    })
    b.handle(ECHO_BODY, async () => 'x'.repeat(4097))
    await expect(a.call('b', ECHO_BODY, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_TOO_LARGE',
      definite: false,
    })
    await expect(b.call('a', ECHO_BODY, 'x'.repeat(4097), SOON)).rejects.toMatchObject({
      code: 'ATOLL_TOO_LARGE',
      definite: true,
    })
  })

  test('is known to the handler as the time that is left', async () => {
    const { a, b, clock } = await pair(createTestCluster({ delayMs: { min: 10, max: 10 } }))
    const { handler, calls } = patient()
    b.handle(ECHO, handler)
    const seen = a.call('b', ECHO, '', SOON).catch((e) => e)
    await clock.advance(60)
    // 40 ms went into the handshake: there and back to connect, there and back for the hello.
    expect(calls[0]).toMatchObject({ from: 'a', remainingMs: 60 })
    await clock.advance(60)
    await seen
  })
})

describe('repeated and lost frames', () => {
  test('run a handler once for each call', async () => {
    const { a, b, marks } = await pair(createTestCluster({ duplicatePerMillion: 1_000_000 }))
    const seen: string[] = []
    b.handle(ECHO, async (request) => {
      seen.push(request)
      return request
    })
    for (const request of ['x', 'y', 'z']) expect(await a.call('b', ECHO, request, SOON)).toBe(request)
    expect(seen).toEqual(['x', 'y', 'z'])
    expect(marks).toContain('rpc.request-repeated')
  })

  test('end in an answer or a timeout, and later calls work', async () => {
    const { a, b, clock, network } = await pair()
    b.handle(ECHO, async (request) => request)
    await a.call('b', ECHO, 'connect', SOON)
    network.configure({ lossPerMillion: 300_000 })
    const outcomes = Promise.allSettled(
      Array.from({ length: 200 }, (_, at) => a.call('b', ECHO, `${at}`, { timeoutMs: 5000 })),
    )
    await clock.advance(6000)
    const settled = await outcomes
    const codes = settled.map((one) => (one.status === 'fulfilled' ? 'answered' : one.reason.code))
    expect(new Set(codes)).toEqual(new Set(['answered', 'ATOLL_TIMEOUT']))
    network.heal()
    expect(await a.call('b', ECHO, 'healed', SOON)).toBe('healed')
  })
})

describe('limits', () => {
  test('of calls in flight', async () => {
    const cluster = createTestCluster()
    const a = await cluster.endpoint('a', { maxInFlightPerPeer: 2 })
    const b = await cluster.endpoint('b')
    const { handler, answers } = patient()
    b.handle(ECHO, handler)
    const calls = ['1', '2'].map((request) => a.call('b', ECHO, request, SOON))
    await expect(a.call('b', ECHO, '3', SOON)).rejects.toMatchObject({
      code: 'ATOLL_OVERLOADED',
      definite: true,
    })
    await settle()
    for (const answer of answers) answer('done')
    expect(await Promise.all(calls)).toEqual(['done', 'done'])
    const again = a.call('b', ECHO, '4', SOON)
    await settle()
    answers[2]?.('again')
    expect(await again).toBe('again')
  })

  test('of handlers that run', async () => {
    const cluster = createTestCluster()
    const a = await cluster.endpoint('a')
    const b = await cluster.endpoint('b', { maxConcurrentHandlers: 1 })
    const { handler, answers } = patient()
    b.handle(ECHO, handler)
    const first = a.call('b', ECHO, '', SOON)
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_OVERLOADED',
      definite: true,
    })
    answers[0]?.('one')
    expect(await first).toBe('one')
    const second = a.call('b', ECHO, '', SOON)
    await settle()
    answers[1]?.('two')
    expect(await second).toBe('two')
  })

  test('of what waits: none on the side of the caller but that of calls in flight, so no call fails', async () => {
    const cluster = createTestCluster({ highWaterBytes: 1000, delayMs: { min: 1, max: 1 } })
    const a = await cluster.endpoint('a', { maxQueuedBytes: 8192 })
    const b = await cluster.endpoint('b', { maxQueuedBytes: 8192 })
    b.handle(ECHO_BODY, async (request) => request)
    const big = 'x'.repeat(2000)
    const calls = Promise.allSettled(Array.from({ length: 10 }, () => a.call('b', ECHO_BODY, big, SOON)))
    await cluster.clock.advance(20)
    expect((await calls).every((one) => one.status === 'fulfilled')).toBe(true)
  })

  test('of options are checked, by name', async () => {
    const { endpoint } = createTestCluster()
    await expect(endpoint('a', { maxInFlightPerPeer: 0 })).rejects.toThrow(RangeError)
    await expect(endpoint('')).rejects.toThrow(/node must be/)
    await expect(endpoint('a', { streamChunkBytes: 1 << 30 })).rejects.toThrow(/maxBodyBytes/)
    // @ts-expect-error A misspelt option.
    await expect(endpoint('a', { maxInflight: 1 })).rejects.toThrow(TypeError)
  })
})

describe('the connection', () => {
  test('is made once for calls that begin together, and again after it broke', async () => {
    const { a, b, network } = await pair()
    const seen: string[] = []
    b.events.on('peer-connected', (node) => seen.push(`+${node}`))
    b.events.on('peer-disconnected', (node) => seen.push(`-${node}`))
    b.handle(ECHO, async (request) => request)
    await Promise.all([a.call('b', ECHO, '1', SOON), a.call('b', ECHO, '2', SOON)])
    expect(seen).toEqual(['+a'])
    network.cut('a')
    await settle()
    expect(seen).toEqual(['+a', '-a'])
    network.restore('a')
    expect(await a.call('b', ECHO, '3', SOON)).toBe('3')
    expect(seen).toEqual(['+a', '-a', '+a'])
  })

  test('counts once for a peer, whoever made it', async () => {
    const { a, b } = await pair()
    const seen: string[] = []
    a.events.on('peer-connected', (node) => seen.push(`+${node}`))
    a.events.on('peer-disconnected', (node) => seen.push(`-${node}`))
    a.handle(ECHO, async (request) => request)
    b.handle(ECHO, async (request) => request)
    await a.call('b', ECHO, '', SOON)
    await b.call('a', ECHO, '', SOON)
    expect(seen).toEqual(['+b'])
    await b.close()
    await settle()
    expect(seen).toEqual(['+b', '-b'])
  })

  test('is refused by another cluster, with a reason and for certain', async () => {
    const cluster = createTestCluster()
    const a = await cluster.endpoint('a', { clusterName: 'one' })
    await cluster.endpoint('b', { clusterName: 'two' })
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
    })
    expect(a.peers).toEqual([])
  })

  test('is refused if another node answers at the address', async () => {
    const { runtime, network, endpoint } = createTestCluster()
    await endpoint('b')
    const transport = network.transport('a')
    const a = new RpcEndpoint(
      runtime,
      { transport, addressOf: (node) => (node === 'a' ? 'a' : 'b') },
      { node: 'a' },
    )
    await a.open()
    await expect(a.call('c', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
      message: 'c was called, and b answered',
    })
  })

  test('fails as the address book does for a node that it does not know', async () => {
    const { runtime, network } = createTestCluster()
    const addressOf = (node: string) => {
      if (node === 'a') return 'a'
      throw new AtollError('ATOLL_UNREACHABLE', `${node} has no address`)
    }
    const a = new RpcEndpoint(runtime, { transport: network.transport('a'), addressOf }, { node: 'a' })
    await a.open()
    await expect(a.call('z', ECHO, '', SOON)).rejects.toMatchObject({
      message: 'z has no address',
      definite: true,
    })
  })

  test('closes if the peer says nothing, or says what is no message', async () => {
    const { runtime, network, clock, a } = await pair()
    const closed: string[] = []
    const knock = async () => {
      const connection = await network.transport('stranger').connect('a', { timeoutMs: 10 })
      connection.onFrame = () => {}
      connection.onClose = () => closed.push(connection.peer)
      return connection
    }
    await knock()
    await clock.advance(3000)
    expect(closed).toEqual(['a'])
    const rude = await knock()
    rude.send({ head: Uint8Array.of(1, 2, 3) })
    await settle()
    expect(closed).toEqual(['a', 'a'])
    expect(a.peers).toEqual([])
    expect(runtime).toBeDefined()
  })

  test('stands through a partition, and calls go on after it', async () => {
    const { a, b, network, clock } = await pair()
    b.handle(ECHO, async (request) => request)
    await a.call('b', ECHO, '', SOON)
    network.partition(['a'], ['b'], { oneWay: true })
    const seen = a.call('b', ECHO, '', SOON).catch((e) => e)
    await clock.advance(110)
    expect(await seen).toMatchObject({ code: 'ATOLL_TIMEOUT' })
    expect(a.peers).toEqual(['b'])
    network.heal()
    expect(await a.call('b', ECHO, 'again', SOON)).toBe('again')
  })
})

describe('an endpoint', () => {
  test('calls others only while it is open, and never itself', async () => {
    const { a } = await pair()
    await expect(a.call('a', ECHO, '', SOON)).rejects.toThrow(/does not call itself/)
    await a.close()
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  })

  test('takes one handler for a method', async () => {
    const { a } = await pair()
    a.handle(ECHO, async (request) => request)
    expect(() => a.handle(ECHO, async (request) => request)).toThrow(/one handler/)
  })

  test('on closing ends its calls, tells its handlers and waits for them, and leaves no timer', async () => {
    const { a, b, clock } = await pair()
    const { handler, calls, answers } = patient()
    b.handle(ECHO, handler)
    const seen = a.call('b', ECHO, '', SOON).catch((e) => e)
    await settle()
    const closing = b.close()
    await settle()
    expect(calls[0]?.signal.reason).toMatchObject({ code: 'ATOLL_CLOSED' })
    expect(await seen).toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: false })
    expect((await outcome(closing)).pending).toBe(true)
    answers[0]?.('whatever')
    await closing
    await a.close()
    expect(clock.pending).toBe(0)
  })

  test('does not wait for ever for a handler that ignores its signal', async () => {
    const { a, b, clock } = await pair()
    b.handle(ECHO, () => new Promise(() => {}))
    const seen = a.call('b', ECHO, '', SOON).catch((e) => e)
    await settle()
    const closing = b.close()
    await clock.advance(5000)
    await closing
    await seen
    expect(b.state).toBe('closed')
  })

  test('opens again after it was closed, with handlers given anew', async () => {
    const { a, b } = await pair()
    b.handle(ECHO, async () => 'old')
    await b.close()
    await b.open()
    b.handle(ECHO, async () => 'new')
    expect(await a.call('b', ECHO, '', SOON)).toBe('new')
  })

  test('refuses an address that is taken', async () => {
    const { endpoint } = await pair()
    await expect(endpoint('b')).rejects.toMatchObject({ code: 'ATOLL_LOCKED' })
  })
})
