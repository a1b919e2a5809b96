import { AtollError, encodeTuple, utf8 } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import {
  type Identity,
  type IdentityPort,
  type Method,
  OWN_NAME,
  type Peer,
  RpcEndpoint,
  type Standing,
  type StreamMethod,
  WRONG_IDENTITY,
} from '../src/index.ts'
import { decodeHead, encodeHello, HELLO } from '../src/protocol.ts'
import { createTestCluster, ECHO, settle, text } from './world.ts'

const SOON = { timeoutMs: 100 }
const ASK: Method<string, string> = { name: 'test.ask', request: text, response: text, openToStrangers: true }

const STREAM: StreamMethod<string> = { name: 'test.stream', request: text }

/** A port that judges by one table: what data each name stands for. */
class Table implements IdentityPort {
  readonly peers: Peer[] = []
  readonly ids = new Map([
    ['a', 'data-a'],
    ['b', 'data-b'],
  ])
  readonly #own: Identity

  constructor(memberId: string, clusterId: string | undefined = 'reef') {
    this.#own = { clusterId, memberId, generation: 'g1', epoch: 7 }
  }

  own(): Identity {
    return this.#own
  }

  judge(peer: Peer): Standing | AtollError {
    this.peers.push(peer)
    const { clusterId, memberId } = peer.identity
    if (clusterId === undefined) return 'stranger'
    if (clusterId === 'reef' && this.ids.get(peer.node) === memberId) return 'member'
    return new AtollError('ATOLL_FORMAT', `${peer.node} has other data`, { details: WRONG_IDENTITY })
  }
}

/** Two nodes, each with what it says of itself, or with nothing as programs before had it. */
async function pair(ports: { a?: Table | undefined; b?: Table | undefined }) {
  const world = createTestCluster()
  const create = async (node: string, identity: Table | undefined) => {
    const collaborators = {
      transport: world.network.transport(node),
      addressOf: (name: string) => name,
      identity,
    }
    const endpoint = new RpcEndpoint(world.runtime, collaborators, { node, reconnectCapMs: 0 })
    await endpoint.open()
    endpoint.handle(ECHO, async (request, { from }) => `${request}, ${from}`)
    endpoint.handleStream(STREAM, async () => {})
    endpoint.handle(ASK, async (request, { from }) => `${request}, ${from}`)
    return endpoint
  }
  return { ...world, a: await create('a', ports.a), b: await create('b', ports.b) }
}

describe('what a node says of itself', () => {
  test('is known to both sides of every connection before anything is asked', async () => {
    const [ofA, ofB] = [new Table('data-a'), new Table('data-b')]
    const { a } = await pair({ a: ofA, b: ofB })
    expect(await a.call('b', ECHO, 'hello', SOON)).toBe('hello, a')
    expect(ofB.peers).toEqual([{ node: 'a', side: 'caller', identity: ofA.own() }])
    expect(ofA.peers).toEqual([{ node: 'b', side: 'callee', identity: ofB.own() }])
  })

  test('is no capability', async () => {
    const { a, b } = await pair({ a: new Table('data-a'), b: new Table('data-b') })
    await a.call('b', ECHO, '', SOON)
    expect([a.capabilitiesOf('b'), b.capabilitiesOf('a')]).toEqual([new Set(), new Set()])
  })

  test('travels where a program from before reads it, among the capabilities', () => {
    const capabilities = ['id.c.reef', 'id.m.data-a', 'id.e.7']
    const bytes = encodeHello({ minVersion: 1, maxVersion: 1, node: 'a', clusterName: 'x', capabilities })
    expect(bytes).toEqual(encodeTuple(1, [HELLO, 1, 1, 'a', 'x', capabilities]))
    expect(decodeHead(bytes)).toMatchObject({ capabilities })
  })

  test.each([
    [['id.e.7', 'id.m.x', 'id.m.y'], /two ids of one kind, id.m.x and id.m.y/],
    [['id.e.many'], /the epoch many/],
    [['id.e.7', 'id.c...'], /the id id.c\.\.\./],
  ])('must be readable: %j', async (capabilities, message) => {
    const { network, b } = await pair({ b: new Table('data-b') })
    const connection = await network.transport('a').connect('b', { timeoutMs: 100 })
    const answers: unknown[] = []
    connection.onFrame = ({ head }) => void answers.push(decodeHead(head))
    const hello = { minVersion: 1, maxVersion: 1, node: 'a', clusterName: '', capabilities }
    connection.send({ head: encodeHello(hello) })
    await settle()
    expect(answers).toMatchObject([
      { error: { code: 'ATOLL_CORRUPT', message: expect.stringMatching(message) } },
    ])
    expect(b.peers).toEqual([])
  })

  test('is not to be said by a capability', () => {
    const { network, runtime } = createTestCluster()
    const collaborators = { transport: network.transport('a'), addressOf: (name: string) => name }
    const options = { node: 'a', capabilities: ['id.m.data-b'] }
    expect(() => new RpcEndpoint(runtime, collaborators, options)).toThrow(/must not begin as an id/)
  })
})

describe('a node that is not what its name stands for', () => {
  const refusal = { code: 'ATOLL_FORMAT', definite: true, details: { reason: 'identity' } }

  test.each([
    ['a caller with other data', new Table('other'), new Table('data-b')],
    ['a caller of another cluster', new Table('data-a', 'atoll'), new Table('data-b')],
  ])('is refused, and both sides write it down: %s', async (_, ofA, ofB) => {
    const { a, b, errors, metrics } = await pair({ a: ofA, b: ofB })
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject(refusal)
    expect(a.peers.concat(b.peers)).toEqual([])
    expect(errors).toMatchObject([
      { node: 'b', peer: 'a', why: 'a has other data' },
      { node: 'a', peer: 'b', why: 'a has other data' },
    ])
    expect(metrics.value('atoll_rpc_refused_total', { code: 'ATOLL_FORMAT' })).toBe(1)
  })

  test('is not called either', async () => {
    const { a, errors } = await pair({ a: new Table('data-a'), b: new Table('other') })
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject(refusal)
    expect(a.peers).toEqual([])
    expect(errors).toMatchObject([{ node: 'a', peer: 'b', why: 'b has other data' }])
  })

  test('may knock as often as it likes: a minute has one line', async () => {
    const { a, errors, clock } = await pair({ a: new Table('other'), b: new Table('data-b') })
    const knock = () => a.call('b', ECHO, '', SOON).catch(() => {})
    for (let knocks = 0; knocks < 100; knocks++) await knock()
    expect(errors).toHaveLength(2)
    await clock.advance(60_000)
    await knock()
    expect(errors).toHaveLength(4)
    expect(errors.at(-1)).toMatchObject({ held: 99 })
  })

  test('loses the connections that it has as soon as that is known', async () => {
    const [ofA, ofB] = [new Table('data-a'), new Table('data-b')]
    const { a, b, errors } = await pair({ a: ofA, b: ofB })
    await a.call('b', ECHO, '', SOON)
    await b.call('a', ECHO, '', SOON)
    ofB.ids.set('a', 'new-data')
    b.judgeAnew()
    await settle()
    expect([a.peers, b.peers]).toEqual([[], []])
    expect(errors).toMatchObject([{ node: 'b', peer: 'a' }])
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject(refusal)
  })
})

describe('a node of no cluster', () => {
  test('may ask what is open to strangers, and nothing else', async () => {
    const nobody = new Table('data-a')
    nobody.own = () => ({ clusterId: undefined, memberId: undefined, generation: undefined, epoch: 0 })
    const { a } = await pair({ a: nobody, b: new Table('data-b') })
    expect(await a.call('b', ASK, 'hello', SOON)).toBe('hello, a')
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNAUTHORIZED',
      message: 'a is of no cluster that b knows, and asks test.echo',
    })
    const stream = await a.openStream('b', STREAM, '')
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'ATOLL_UNAUTHORIZED' })
  })

  test('says so anew when it has one', async () => {
    const ofA = new Table('data-a')
    const known = ofA.own()
    let identity: Identity = { ...known, clusterId: undefined }
    ofA.own = () => identity
    const { a } = await pair({ a: ofA, b: new Table('data-b') })
    await a.call('b', ASK, '', SOON)
    identity = known
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({ code: 'ATOLL_UNAUTHORIZED' })
    a.introduceAnew()
    expect(await a.call('b', ECHO, 'hello', SOON)).toBe('hello, a')
  })
})

test('a program from before says nothing of itself, and is taken as before, in either direction', async () => {
  const port = new Table('data-b')
  const { a, b, errors } = await pair({ a: undefined, b: port })
  expect(await a.call('b', ECHO, 'hello', SOON)).toBe('hello, a')
  expect(await b.call('a', ECHO, 'hello', SOON)).toBe('hello, b')
  expect([port.peers, errors]).toEqual([[], []])
})

describe('a visit', () => {
  test('finds out who is at an address', async () => {
    const [ofA, ofB] = [new Table('data-a'), new Table('data-b')]
    const { a, b } = await pair({ a: ofA, b: ofB })
    expect(await a.visit('b', ECHO, 'hello', SOON)).toEqual({
      node: 'b',
      identity: ofB.own(),
      answer: 'hello, a',
    })
    await settle()
    expect([a.peers, b.peers]).toEqual([[], []])
  })

  test('to oneself is told from one to somebody of the same name by nobody but the transport', async () => {
    const { a } = await pair({ a: new Table('data-a') })
    await expect(a.visit('a', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_PROTOCOL',
      details: { reason: OWN_NAME },
    })
  })

  test('where nobody is fails, and holds nothing up', async () => {
    const { a } = await pair({})
    await expect(a.visit('c', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      definite: true,
    })
    expect(utf8(await a.call('b', ECHO, '', SOON)).length).toBe(3)
    await a.close()
  })
})
