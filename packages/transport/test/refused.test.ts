import { AtollError, checkName, createMetrics, encodeTuple, type MetricsRegistry } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { type Connection, type ConnectOptions, RpcEndpoint, type RpcOptions } from '../src/index.ts'
import * as protocol from '../src/protocol.ts'
import { createTestCluster, ECHO, settle } from './world.ts'

const SOON = { timeoutMs: 100 }

interface Place extends Partial<RpcOptions> {
  /** Where it listens; default its name. */
  readonly at?: string
  readonly addressOf?: (node: string) => string
}

/** Nodes that count what happens to them apart from each other. */
function createNodes() {
  const { network, runtime, clock } = createTestCluster()
  const create = async (node: string, { at = node, addressOf = (name) => name, ...options }: Place = {}) => {
    const metrics = createMetrics()
    const endpoint = new RpcEndpoint(
      { ...runtime, metrics },
      { transport: network.transport(at), addressOf: (name) => (name === node ? at : addressOf(name)) },
      { node, ...options },
    )
    await endpoint.open()
    endpoint.handle(ECHO, async (request) => request)
    return { endpoint, metrics }
  }
  return { network, clock, create }
}

const refused = (metrics: MetricsRegistry, code: string) => metrics.value('atoll_rpc_refused_total', { code })
const unreached = (metrics: MetricsRegistry, code: string) =>
  metrics.value('atoll_rpc_unreached_total', { code })

/** Why it ends. */
function closing(connection: Connection): Promise<Error | undefined> {
  connection.onFrame = () => {}
  return new Promise((resolve) => {
    connection.onClose = resolve
  })
}

describe('who is refused in the handshake is told so, and both sides count it', () => {
  test.each<[string, string, Place, Place, RegExp]>([
    ['a node of another cluster', 'a', { clusterName: 'shoal' }, {}, /another cluster/],
    ['a double of the own name', 'b', { at: 'x', addressOf: () => 'b' }, {}, /of its own name/],
  ])('%s', async (_, name, caller, called, message) => {
    const { create } = createNodes()
    const server = await create('b', { clusterName: 'reef', ...called })
    const client = await create(name, { clusterName: 'reef', ...caller })
    const target = name === 'b' ? 'c' : 'b'
    await expect(client.endpoint.call(target, ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_PROTOCOL',
      definite: true,
      message: expect.stringMatching(message),
    })
    expect(refused(server.metrics, 'ATOLL_PROTOCOL')).toBe(1)
    expect(unreached(client.metrics, 'ATOLL_PROTOCOL')).toBe(1)
    expect([server.endpoint.peers, client.endpoint.peers]).toEqual([[], []])
  })

  test('a node of another version', async () => {
    const { create, network } = createNodes()
    const server = await create('b')
    const connection = await network.transport('a').connect('b', SOON)
    const heads: protocol.Head[] = []
    connection.onFrame = ({ head }) => heads.push(protocol.decodeHead(head))
    const hello = { minVersion: 2, maxVersion: 3, node: 'a', clusterName: '', capabilities: [] }
    void connection.send({ head: protocol.encodeHello(hello) })
    await settle()
    expect(heads).toMatchObject([{ kind: protocol.REFUSE, error: { code: 'ATOLL_PROTOCOL' } }])
    expect(refused(server.metrics, 'ATOLL_PROTOCOL')).toBe(1)
  })

  test('a node that answers as another one, in another version or for another cluster', async () => {
    const { create, network } = createNodes()
    const client = await create('a')
    const welcomes = [
      { version: 1, node: 'z', clusterName: '' },
      { version: 2, node: 'b', clusterName: '' },
      { version: 1, node: 'b', clusterName: 'shoal' },
    ]
    const answers = welcomes.map((welcome) => ({ ...welcome, windowBytes: 4096, capabilities: [] }))
    await network.transport('b').listen('b', (connection) => {
      const answer = answers.shift()
      if (answer !== undefined) void connection.send({ head: protocol.encodeWelcome(answer) })
    })
    const urgently = { ...ECHO, urgent: true }
    for (const message of [/z answered/, /was not offered/, /another cluster/]) {
      await expect(client.endpoint.call('b', urgently, '', SOON)).rejects.toMatchObject({
        code: 'ATOLL_PROTOCOL',
        message: expect.stringMatching(message),
      })
    }
    // What it refused, and whom it did not reach.
    expect(refused(client.metrics, 'ATOLL_PROTOCOL')).toBe(3)
    expect(unreached(client.metrics, 'ATOLL_PROTOCOL')).toBe(3)
  })
})

describe('a caller that says what is no conversation is shown the door, and counted', () => {
  const junk = Uint8Array.of(1, 2, 3)
  const cancel = protocol.encodeCancel(7)
  const hello = protocol.encodeHello({
    minVersion: 1,
    maxVersion: 1,
    node: 'a',
    clusterName: '',
    capabilities: [],
  })
  const request = (remainingMs: number) => ({ id: 7, method: 'test.echo', remainingMs })
  const crowd = Array.from({ length: 65 }, (_, at) => `c${at}`)

  test.each<[string, Uint8Array[]]>([
    ['bytes that are no message', [junk]],
    ['a word out of place before hello', [cancel]],
    ['bytes that are no message, after hello', [hello, junk]],
    ['an answer, though it asked', [hello, protocol.encodeResponse(1, [])]],
    ['more capabilities than may be', [encodeTuple(1, [0, 1, 1, 'a', '', crowd])]],
    ...['', '..', '../..', 'a\nb', 'a b', 'x'.repeat(65)].map((name): [string, Uint8Array[]] => [
      `a name that no node can have: ${JSON.stringify(name)}`,
      [encodeTuple(1, [0, 1, 1, name, ''])],
    ]),
    ['a call that is to take 2^40 ms', [hello, protocol.encodeRequest(request(2 ** 40), [])]],
    [
      'a stream that is to be silent for 2^40 ms',
      [hello, protocol.encodeOpen({ ...request(0), windowBytes: 4096, idleTimeoutMs: 2 ** 40 }, [])],
    ],
  ])('%s', async (_, said) => {
    const { create, network } = createNodes()
    const server = await create('b')
    const connection = await network.transport('a').connect('b', SOON)
    const closed = closing(connection)
    for (const head of said) void connection.send({ head })
    expect(await closed).toMatchObject({
      code: 'ATOLL_PROTOCOL',
      message: expect.stringMatching(/^b said: .*(a |no name)/),
      details: { reason: 'told' },
    })
    expect(server.endpoint.peers).toEqual([])
    expect(refused(server.metrics, 'ATOLL_PROTOCOL')).toBe(1)
    const other = await create('c')
    expect(await other.endpoint.call('b', ECHO, 'well', SOON)).toBe('well')
  })

  test('nothing at all, for too long', async () => {
    const { create, network, clock } = createNodes()
    const server = await create('b', { connectTimeoutMs: 50 })
    const closed = closing(await network.transport('a').connect('b', SOON))
    await clock.advance(100)
    expect(refused(server.metrics, 'ATOLL_UNREACHABLE')).toBe(1)
    expect(await closed).toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      message: 'b said: a did not say hello',
    })
  })

  test('anything, once there are as many as may be', async () => {
    const { create, network } = createNodes()
    const server = await create('b', { maxConnections: 1 })
    const connect = (options: ConnectOptions): Promise<Connection> =>
      network.transport('a').connect('b', options)
    const first = await connect(SOON)
    const second = await connect(SOON)
    expect(await closing(second)).toMatchObject({
      code: 'ATOLL_OVERLOADED',
      message: 'b said: b has 1 connections',
    })
    expect(refused(server.metrics, 'ATOLL_OVERLOADED')).toBe(1)
    first.close()
  })
})

test('a peer that says it is closed is out of reach; closed is what this node is itself', async () => {
  const { create, network } = createNodes()
  const client = await create('a')
  await network.transport('b').listen('b', (connection) => {
    connection.close(new AtollError('ATOLL_CLOSED', 'b is closed'))
  })
  await expect(client.endpoint.call('b', ECHO, '', SOON)).rejects.toMatchObject({
    code: 'ATOLL_UNREACHABLE',
    definite: true,
    message: 'the connection to b ended: b said: b is closed',
  })
})

test('a node that answers what is no message is left, and counted', async () => {
  const { create, network } = createNodes()
  const client = await create('a')
  await network.transport('b').listen('b', (connection) => {
    void connection.send({ head: Uint8Array.of(1, 2, 3) })
  })
  await expect(client.endpoint.call('b', ECHO, '', SOON)).rejects.toMatchObject({
    code: 'ATOLL_PROTOCOL',
    definite: true,
  })
  expect(refused(client.metrics, 'ATOLL_PROTOCOL')).toBe(1)
})

test('a call for what cannot be is its caller’s fault; only what fails unexpectedly is that of the node', async () => {
  const { create } = createNodes()
  const server = await create('b')
  const client = await create('a')
  const [wrong, broken] = [
    { ...ECHO, name: 'test.wrong' },
    { ...ECHO, name: 'test.broken' },
  ]
  server.endpoint.handle(wrong, async (text) => checkName('partition', text))
  server.endpoint.handle(broken, async () => Promise.reject(new RangeError('a fault of ours')))
  await expect(client.endpoint.call('b', wrong, '../..', SOON)).rejects.toMatchObject({
    code: 'ATOLL_PROTOCOL',
    definite: true,
    details: { argument: 'partition' },
    message: expect.stringContaining('partition must be 1 to 64 characters'),
  })
  await expect(client.endpoint.call('b', broken, '', SOON)).rejects.toMatchObject({
    code: 'ATOLL_STORAGE',
    definite: false,
  })
})
