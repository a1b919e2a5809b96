import { once } from 'node:events'
import { connect as connectSocket, createServer } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { Cable } from './cable.ts'
import { createParty, Diary, freePort, listen, ManualClock, type Party, SOON, until } from './world.ts'

const MiB = 1024 * 1024
const head = (number: number) => Uint8Array.of(number)

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function pair(
  parties: { client?: Party; server?: Party; via?: (address: string) => Promise<string> } = {},
) {
  const { client = createParty('n1'), server = createParty('n2') } = parties
  const { listener, address, next } = await listen(server)
  cleanups.push(() => listener.close())
  const to = (await parties.via?.(address)) ?? address
  const near = new Diary(await client.transport.connect(to, SOON))
  const far = new Diary(await next())
  cleanups.push(() => near.connection.close())
  return { client, server, near, far, listener, address, next }
}

describe('a connection', () => {
  test('knows who is at the other end', async () => {
    const { near, far, address } = await pair()
    expect(near.connection).toMatchObject({ identity: 'n2', peer: address })
    expect(far.connection).toMatchObject({
      identity: 'n1',
      peer: expect.stringMatching(/^127\.0\.0\.1:\d+$/),
    })
  })

  test('lets an urgent frame overtake 64 MiB that wait', async () => {
    const { near, far } = await pair()
    const body = new Uint8Array(MiB)
    for (let number = 0; number < 64; number++) void near.connection.send({ head: head(number), body })
    // The first of them have left; what the system has taken cannot be overtaken.
    await far.received(1)
    void near.connection.send({ head: head(100), urgent: true })
    void near.connection.send({ head: head(101), urgent: true })
    const numbers = (await far.received(66)).map((frame) => frame.head[0])
    expect(numbers.filter((number) => (number ?? 0) < 100)).toEqual(Array.from({ length: 64 }, (_, at) => at))
    expect(numbers.indexOf(101)).toBe(numbers.indexOf(100) + 1)
    expect(numbers.indexOf(100)).toBeLessThan(32)
  })

  test('writes what one turn sends at once', async () => {
    const { near, far, client } = await pair()
    const before = client.metrics.value('atoll_tcp_writes_total')
    for (let number = 0; number < 100; number++) void near.connection.send({ head: head(number) })
    await Promise.resolve()
    for (let number = 100; number < 200; number++) void near.connection.send({ head: head(number) })
    await far.received(200)
    expect(client.metrics.value('atoll_tcp_writes_total') - before).toBe(1)
  })

  test('asks for patience while much waits, and ends when nobody has it', async () => {
    const server = createParty('n2')
    const client = createParty('n1', { highWaterBytes: 3 * MiB, maxQueuedBytes: 6 * MiB })
    const { near, far } = await pair({ client, server })
    const body = new Uint8Array(MiB)
    expect(near.connection.send({ head: head(1), body })).toBeUndefined()
    expect(near.connection.send({ head: head(2), body })).toBeUndefined()
    const room = near.connection.send({ head: head(3), body })
    expect(room).toBeInstanceOf(Promise)
    await room
    await far.received(3)
    for (let count = 0; count < 8; count++) void near.connection.send({ head: head(4), body })
    expect(await near.closed).toMatchObject({ code: 'ATOLL_OVERLOADED', details: { reason: 'queue' } })
    expect(client.metrics.value('atoll_tcp_lost_total', { reason: 'queue' })).toBe(1)
    expect(await far.closed).toMatchObject({ code: 'ATOLL_OVERLOADED' })
  })

  test('is refused a frame over the limits, and both sides are told', async () => {
    const { near, far, server } = await pair({ server: createParty('n2', { maxBodyBytes: 1024 }) })
    void near.connection.send({ head: head(1), body: new Uint8Array(1024) })
    void near.connection.send({ head: head(2), body: new Uint8Array(1025) })
    expect(await far.closed).toMatchObject({ code: 'ATOLL_TOO_LARGE' })
    expect(await near.closed).toMatchObject({
      code: 'ATOLL_TOO_LARGE',
      message: expect.stringContaining('1025'),
    })
    expect(server.metrics.value('atoll_tcp_lost_total', { reason: 'too-large' })).toBe(1)
  })

  test('that breaks without a goodbye says so, and does not hang a sender', async () => {
    const cables: Cable[] = []
    const via = async (address: string) => {
      const cable = new Cable(address)
      cables.push(cable)
      await cable.listen()
      return cable.address
    }
    const { near, far, server } = await pair({ via })
    const body = new Uint8Array(8 * MiB)
    let room: Promise<void> | undefined
    for (let count = 0; count < 4; count++) room = near.connection.send({ head: head(1), body }) ?? room
    cables[0]?.close()
    await room
    for (const reason of [await near.closed, await far.closed]) {
      expect(reason).toMatchObject({
        code: 'ATOLL_UNREACHABLE',
        definite: false,
        details: { reason: 'reset' },
      })
    }
    expect(server.metrics.value('atoll_tcp_lost_total', { reason: 'reset' })).toBe(1)
    expect(near.connection.send({ head: head(1) })).toBeUndefined()
  })

  test('delivers 32 MiB that were sent before it was closed', async () => {
    const { near, far } = await pair()
    for (let number = 0; number < 32; number++)
      void near.connection.send({ head: head(number), body: new Uint8Array(MiB) })
    near.connection.close()
    expect(await near.closed).toBeUndefined()
    expect(await far.closed).toBeUndefined()
    expect(far.frames).toHaveLength(32)
  })

  test('that is closed while nobody reads is given up when nothing moves any more', async () => {
    const clock = new ManualClock()
    const cables: Cable[] = []
    const via = async (address: string) => {
      const cable = new Cable(address)
      cables.push(cable)
      await cable.listen()
      return cable.address
    }
    const { near, far } = await pair({ client: createParty('n1', {}, clock), via })
    cables[0]?.freeze()
    for (let count = 0; count < 64; count++)
      void near.connection.send({ head: head(1), body: new Uint8Array(MiB) })
    near.connection.close()
    expect(await near.closed).toBeUndefined()
    // The writes that the system takes go on for a while; each one gives the rest more time.
    while (clock.pending > 0) {
      clock.advance(5000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    cables[0]?.close()
    expect(await far.closed).toMatchObject({ code: 'ATOLL_UNREACHABLE' })
  })

  test('stops to read when nobody takes its frames, and loses none', async () => {
    const server = createParty('n2', { highWaterBytes: 4 * MiB })
    const { address, next, listener } = await listen(server)
    cleanups.push(() => listener.close())
    const near = new Diary(await createParty('n1').transport.connect(address, SOON))
    cleanups.push(() => near.connection.close())
    const far = await next()
    for (let number = 0; number < 40; number++)
      void near.connection.send({ head: head(number), body: new Uint8Array(MiB) })
    const received = () => server.metrics.value('atoll_tcp_received_bytes_total')
    let before = -1
    while (received() !== before) {
      before = received()
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(before).toBeLessThan(6 * MiB)
    const diary = new Diary(far)
    const numbers = (await diary.received(40)).map((frame) => frame.head[0])
    expect(numbers).toEqual(Array.from({ length: 40 }, (_, at) => at))
  })
})

describe('keep-alive', () => {
  async function frozenPair() {
    const clock = new ManualClock()
    const cables: Cable[] = []
    const via = async (address: string) => {
      const cable = new Cable(address)
      cables.push(cable)
      cleanups.push(() => cable.close())
      await cable.listen()
      return cable.address
    }
    const client = createParty('n1', {}, clock)
    const all = await pair({ client, via })
    return { ...all, clock, freeze: () => cables[0]?.freeze() }
  }

  const received = ({ metrics }: Party) => metrics.value('atoll_tcp_received_bytes_total')

  test('keeps a silent connection as long as the other side answers', async () => {
    const { clock, client, near } = await frozenPair()
    for (let second = 0; second < 20; second++) {
      const before = received(client)
      clock.advance(1000)
      // Every second tick is silent, and asks.
      if (second % 2 === 1) await until(() => received(client) > before)
    }
    let closed = false
    void near.closed.then(() => {
      closed = true
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(closed).toBe(false)
  })

  test('notices within 5 s that the other side is gone without a word', async () => {
    const { clock, client, near, freeze } = await frozenPair()
    freeze()
    for (let second = 0; second < 6; second++) {
      clock.advance(1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await near.closed).toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: false,
      details: { reason: 'keep-alive' },
    })
    expect(client.metrics.value('atoll_tcp_lost_total', { reason: 'keep-alive' })).toBe(1)
  })

  test('does not blame the other side when this process stood still', async () => {
    const { clock, client, near, far } = await frozenPair()
    for (let hours = 0; hours < 3; hours++) {
      const before = received(client)
      clock.advance(3_600_000)
      clock.advance(1000)
      await until(() => received(client) > before)
    }
    void far.connection.send({ head: head(1) })
    expect(await near.received(1)).toHaveLength(1)
  })
})

describe('a listener', () => {
  test('takes so many connections and no more, and takes others when they have gone', async () => {
    const server = createParty('n2', { maxConnections: 2 })
    const { address, listener } = await listen(server)
    cleanups.push(() => listener.close())
    const client = createParty('n1')
    const first = new Diary(await client.transport.connect(address, SOON))
    const second = new Diary(await client.transport.connect(address, SOON))
    await expect(client.transport.connect(address, SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: true,
    })
    expect(server.metrics.value('atoll_tcp_refused_total', { reason: 'limit' })).toBe(1)
    first.connection.close()
    let third: Diary | undefined
    while (third === undefined) {
      third = await client.transport.connect(address, SOON).then(
        (connection) => new Diary(connection),
        () => undefined,
      )
    }
    for (const { connection } of [second, third]) connection.close()
  })

  test('sends strangers away who say nothing, and has room for so many of them', async () => {
    const clock = new ManualClock()
    const server = createParty('n2', { maxHandshakes: 3 }, clock)
    const { address, listener } = await listen(server)
    cleanups.push(() => listener.close())
    const port = Number(address.split(':')[1])
    const strangers = Array.from({ length: 4 }, () => connectSocket({ port, host: '127.0.0.1' }))
    const gone = strangers.map((socket) => once(socket.on('error', () => {}).resume(), 'close'))
    await until(() => server.metrics.value('atoll_tcp_refused_total', { reason: 'limit' }) === 1)
    clock.advance(5000)
    await Promise.all(gone)
    expect(server.metrics.value('atoll_tcp_refused_total', { reason: 'timeout' })).toBe(3)
    expect(clock.pending).toBe(0)
    const connection = new Diary(await createParty('n1').transport.connect(address, SOON))
    connection.connection.close()
  })

  test('that closes forgets its strangers, not its connections', async () => {
    const { near, far, listener, address } = await pair()
    const stranger = connectSocket({ port: Number(address.split(':')[1]), host: '127.0.0.1' }).resume()
    await once(stranger, 'connect')
    const gone = once(
      stranger.on('error', () => {}),
      'close',
    )
    await listener.close()
    await gone
    void near.connection.send({ head: head(1) })
    expect(await far.received(1)).toHaveLength(1)
  })

  test('needs an address of this machine', async () => {
    const { transport } = createParty('n1')
    await expect(transport.listen('192.0.2.1:1', () => {})).rejects.toMatchObject({
      code: 'ATOLL_UNREACHABLE',
    })
    await expect(transport.listen('nonsense', () => {})).rejects.toThrow(RangeError)
    await expect(transport.connect('1.2.3.4:99999', SOON)).rejects.toThrow(RangeError)
    const v6 = await transport.listen('[::1]:0', () => {}).catch(() => undefined)
    if (v6 !== undefined) expect(v6.address).toMatch(/^\[::1\]:\d+$/)
    await v6?.close()
  })
})

describe('connecting', () => {
  test('takes no longer than it may, whoever is silent', async () => {
    const clock = new ManualClock()
    const client = createParty('n1', {}, clock)
    const port = await freePort()
    const silent = createServer(() => {}).listen(port, '127.0.0.1')
    cleanups.push(() => silent.close())
    await once(silent, 'listening')
    const connecting = client.transport.connect(`127.0.0.1:${port}`, { timeoutMs: 500 })
    const accepted = once(silent, 'connection')
    const seen = connecting.catch((error) => error)
    const [socket] = await accepted
    clock.advance(500)
    expect(await seen).toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: true,
      message: expect.stringMatching(/within 500 ms/),
    })
    socket.resume()
    await once(socket, 'close')
    expect(clock.pending).toBe(0)
  })

  test('to what is no node is refused, with a code and a count', async () => {
    const web = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(
      0,
      '127.0.0.1',
    )
    cleanups.push(() => web.close())
    await once(web, 'listening')
    const bound = web.address()
    const client = createParty('n1')
    const port = typeof bound === 'object' ? bound?.port : 0
    await expect(client.transport.connect(`127.0.0.1:${port}`, SOON)).rejects.toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
    })
    expect(client.metrics.value('atoll_tcp_refused_total', { reason: 'malformed' })).toBe(1)
  })
})
