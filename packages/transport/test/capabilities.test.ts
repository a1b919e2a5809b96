import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Connection, RpcEndpoint, type Transport } from '../src/index.ts'
import { Peers } from '../src/peers.ts'
import { createTestCluster, ECHO, settle } from './world.ts'

const SOON = { timeoutMs: 100 }

describe('capabilities', () => {
  test('are known on both sides as soon as one has called the other, and not any more when it is gone', async () => {
    const { endpoint, network } = createTestCluster()
    const a = await endpoint('a', { capabilities: ['trees-2'] })
    const b = await endpoint('b', { capabilities: ['hints', 'trees-2'] })
    b.handle(ECHO, async (request) => request)
    const seen = () => [a.capabilitiesOf('b'), b.capabilitiesOf('a')]
    expect(seen()).toEqual([undefined, undefined])
    await a.call('b', ECHO, '', SOON)
    expect(seen()).toEqual([new Set(['hints', 'trees-2']), new Set(['trees-2'])])
    network.cut('b')
    await settle()
    expect(seen()).toEqual([undefined, undefined])
  })

  test('may be none', async () => {
    const { endpoint } = createTestCluster()
    const [a, b] = [await endpoint('a'), await endpoint('b')]
    b.handle(ECHO, async (request) => request)
    await a.call('b', ECHO, '', SOON)
    expect([a.capabilitiesOf('b'), b.capabilitiesOf('a')]).toEqual([new Set(), new Set()])
  })

  test('are known before anything else is told or served', async () => {
    const { endpoint } = createTestCluster()
    const a = await endpoint('a', { capabilities: ['one'] })
    const b = await endpoint('b', { capabilities: ['two'] })
    const seen: unknown[] = []
    a.events.on('peer-connected', (node) => seen.push(a.capabilitiesOf(node)))
    b.events.on('peer-connected', (node) => seen.push(b.capabilitiesOf(node)))
    b.handle(ECHO, async (_, { from }) => [...(b.capabilitiesOf(from) ?? [])].join())
    expect(await a.call('b', ECHO, '', SOON)).toBe('one')
    expect(seen).toEqual([new Set(['one']), new Set(['two'])])
  })

  test('are those that were said last: a node may come back as another program', () => {
    const peers = new Peers()
    expect(peers.add('b', ['old'])).toBe(true)
    expect(peers.add('b', ['new'])).toBe(false)
    expect(peers.remove('b')).toBe(false)
    expect(peers.capabilitiesOf('b')).toEqual(new Set(['new']))
    expect(peers.remove('b')).toBe(true)
    expect([peers.capabilitiesOf('b'), peers.names]).toEqual([undefined, []])
  })

  test('are those of a node as long as one of its connections stands', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('b', 'c'), fc.boolean())), (steps) => {
        const peers = new Peers()
        const counts = new Map<string, number>()
        for (const [node, comes] of steps) {
          const count = counts.get(node) ?? 0
          if (!comes && count === 0) continue
          counts.set(node, count + (comes ? 1 : -1))
          if (comes) expect(peers.add(node, [])).toBe(count === 0)
          else expect(peers.remove(node)).toBe(count === 1)
          for (const name of ['b', 'c'])
            expect(peers.capabilitiesOf(name) !== undefined).toBe((counts.get(name) ?? 0) > 0)
        }
      }),
    )
  })

  test.each<[unknown, RegExp]>([
    ['trees', /a list of names, got "trees"/],
    [['x y'], /a capability must be 1 to 64 characters/],
    [[''], /a capability must be/],
    [['x'.repeat(65)], /a capability must be/],
    [Array.from({ length: 65 }, (_, at) => `c${at}`), /capabilities.length must be .* 60, got 65/],
  ])('%j are refused by name', (capabilities, message) => {
    const { network, runtime } = createTestCluster()
    const collaborators = { transport: network.transport('a'), addressOf: (name: string) => name }
    const options = { node: 'a', capabilities: capabilities as string[] }
    expect(() => new RpcEndpoint(runtime, collaborators, options)).toThrow(message)
  })
})

/** A transport that listens somewhere else than it was asked to, as one does that is asked for any port. */
function elsewhere(inner: Transport, address: string): Transport {
  const listen = (_: string, onConnection: (connection: Connection) => void) =>
    inner.listen(address, onConnection)
  return { ...inner, listen }
}

describe('addresses', () => {
  test('of a node itself are what its listener says, while it is open', async () => {
    const { network, runtime } = createTestCluster()
    const transport = elsewhere(network.transport('b'), 'b:7400')
    const b = new RpcEndpoint(runtime, { transport, addressOf: () => 'b:0' }, { node: 'b' })
    const closed = expect.objectContaining({ code: 'ATOLL_CLOSED' })
    expect(() => b.address).toThrow(closed)
    await b.open()
    expect(b.address).toBe('b:7400')
    await b.close()
    expect(() => b.address).toThrow(closed)
  })

  test('of others are asked for with every connection, so that a node may move', async () => {
    const { network, runtime } = createTestCluster()
    const places = new Map([['b', 'here']])
    const addressOf = (node: string) => places.get(node) ?? node
    const create = async (node: string, place: string) => {
      const { listen, create: transportOf } = network.factory('reef', place)
      const transport = transportOf(runtime, node)
      const collaborators = {
        transport,
        addressOf: (name: string) => (name === node ? listen : addressOf(name)),
      }
      const endpoint = new RpcEndpoint(runtime, collaborators, { node })
      await endpoint.open()
      endpoint.handle(ECHO, async () => place)
      return endpoint
    }
    const [a, before] = [await create('a', 'a'), await create('b', 'here')]
    expect(await a.call('b', ECHO, '', SOON)).toBe('here')
    await before.close()
    await create('b', 'there')
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE' })
    places.set('b', 'there')
    let answer: unknown
    for (let tries = 0; answer !== 'there' && tries < 1000; tries++) {
      // Urgent calls do not wait for the pause after a connection could not be made.
      answer = await a.call('b', { ...ECHO, urgent: true }, '', SOON).catch(() => undefined)
    }
    expect(answer).toBe('there')
  })
})
