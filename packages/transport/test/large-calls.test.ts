import { AtollError } from '@atoll/core'
import { expect, test } from 'vitest'
import { type Connection, callOrStream, LargeServer, RpcEndpoint, type Transport } from '../src/index.ts'
import { createTestCluster, ECHO_BODY } from './world.ts'

/** Calls of `a` to `b` by streams, and the connections that `b` has taken. */
async function createPair() {
  const cluster = createTestCluster()
  const { network, clock, runtime } = cluster
  const taken: Connection[] = []
  const transport: Transport = {
    listen: (address, onConnection) =>
      network.transport('b').listen(address, (connection) => {
        taken.push(connection)
        onConnection(connection)
      }),
    connect: (address, how) => network.transport('b').connect(address, how),
  }
  const endpoint = await cluster.endpoint('a')
  const b = new RpcEndpoint(runtime, { transport, addressOf: (name) => name }, { node: 'b' })
  await b.open()
  const call = () =>
    callOrStream(
      { endpoint, clock },
      { node: 'b', method: ECHO_BODY, request: 'x', isLarge: true },
      { timeoutMs: 1000 },
    )
  return { b, taken, call }
}

test('a node that serves no streams takes no messages larger than a frame', async () => {
  const { call } = await createPair()
  await expect(call()).rejects.toMatchObject({
    code: 'ATOLL_TOO_LARGE',
    message: 'b takes no messages larger than a frame',
    definite: true,
  })
})

test('a connection that the other side ends since it was told what is no message says nothing of sizes', async () => {
  const { b, taken, call } = await createPair()
  new LargeServer(b).handle(ECHO_BODY, async (request) => {
    for (const connection of taken)
      connection.close(new AtollError('ATOLL_PROTOCOL', 'a sent what is no message'))
    return request
  })
  await expect(call()).rejects.toMatchObject({
    code: 'ATOLL_PROTOCOL',
    message: 'b said: a sent what is no message',
    definite: false,
  })
})
