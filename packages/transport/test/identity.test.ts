import { describe, expect, test } from 'vitest'
import { type Connection, RpcEndpoint, type Transport } from '../src/index.ts'
import { createTestCluster, ECHO } from './world.ts'

const SOON = { timeoutMs: 100 }

/** A transport with proof that the node at the other end of its connections is `identity`. */
function proving(inner: Transport, identity: string): Transport {
  const prove = (connection: Connection) => Object.defineProperty(connection, 'identity', { value: identity })
  return {
    listen: (address, onConnection) => inner.listen(address, (connection) => onConnection(prove(connection))),
    connect: async (address, options) => prove(await inner.connect(address, options)),
  }
}

async function pair(proven: { byA?: string; byB?: string }) {
  const { network, runtime, metrics } = createTestCluster()
  const create = async (node: string, identity: string | undefined) => {
    const inner = network.transport(node)
    const transport = identity === undefined ? inner : proving(inner, identity)
    const endpoint = new RpcEndpoint(runtime, { transport, addressOf: (name) => name }, { node })
    await endpoint.open()
    endpoint.handle(ECHO, async (request, { from }) => `${request}, ${from}`)
    return endpoint
  }
  return { a: await create('a', proven.byA), b: await create('b', proven.byB), metrics }
}

describe('the name that the transport proves', () => {
  test('is the name that a node must say, on both sides', async () => {
    const { a } = await pair({ byA: 'b', byB: 'a' })
    expect(await a.call('b', ECHO, 'hello', SOON)).toBe('hello, a')
  })

  test('keeps out a caller that says another one, with a code and a count', async () => {
    const { a, b, metrics } = await pair({ byB: 'c' })
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNAUTHORIZED',
      definite: true,
      message: 'c calls itself a',
    })
    expect(b.peers).toEqual([])
    expect(metrics.value('atoll_rpc_refused_total', { code: 'ATOLL_UNAUTHORIZED' })).toBe(1)
  })

  test('keeps a caller from one that says another one', async () => {
    const { a, metrics } = await pair({ byA: 'c' })
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({
      code: 'ATOLL_UNAUTHORIZED',
      definite: true,
      message: 'c calls itself b',
    })
    expect(a.peers).toEqual([])
    expect(metrics.value('atoll_rpc_refused_total', { code: 'ATOLL_UNAUTHORIZED' })).toBe(1)
  })
})
