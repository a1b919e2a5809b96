import assert from 'node:assert/strict'
import type { TransportTests } from './transport.ts'
import { CONNECT, connectPair, End, numbered, numberOf } from './transport-ends.ts'

const UNREACHABLE = { code: 'ATOLL_UNREACHABLE', definite: true }

/** Who may connect where. */
export const connectingTests: TransportTests = {
  async 'connects to a listener, which says where it listens'(network) {
    const { listener, near } = await connectPair(network)
    assert.equal(listener.address, network.addressFor('server'))
    assert.equal(near.connection.peer, listener.address)
  },

  async 'refuses where nobody listens'(network) {
    const transport = network.transport(network.addressFor('client'))
    await assert.rejects(transport.connect(network.addressFor('nobody'), CONNECT), UNREACHABLE)
  },

  async 'refuses a second listener at one address, and the first one stays'(network) {
    const { listener, near } = await connectPair(network)
    const other = network.transport(listener.address).listen(listener.address, () => {})
    await assert.rejects(other, { code: 'ATOLL_LOCKED' })
    const again = await network.transport(near.connection.peer).connect(listener.address, CONNECT)
    assert.equal(again.peer, listener.address)
  },

  async 'closes a listener: the address is free, and its connections stay'(network) {
    const { listener, near, far } = await connectPair(network)
    await Promise.all([listener.close(), listener.close()])
    const transport = network.transport(listener.address)
    await assert.rejects(transport.connect(listener.address, CONNECT), UNREACHABLE)
    await near.connection.send(numbered(1))
    assert.equal((await far.received(1)).length, 1)
    const second = await transport.listen(listener.address, () => {})
    await transport.connect(listener.address, CONNECT)
    await second.close()
  },

  async 'gives up connecting when the caller does, with the caller`s reason'(network) {
    const { listener } = await connectPair(network)
    const transport = network.transport(network.addressFor('client'))
    const expected = { code: 'ATOLL_ABORTED', definite: true, cause: 'enough' }
    const early = AbortSignal.abort('enough')
    await assert.rejects(transport.connect(listener.address, { ...CONNECT, signal: early }), expected)
    const late = new AbortController()
    const connecting = transport.connect(listener.address, { ...CONNECT, signal: late.signal })
    late.abort('enough')
    await assert.rejects(connecting, expected)
  },

  async 'does not close a connection when the signal of its connect fires later'(network) {
    const { listener } = await connectPair(network)
    const stop = new AbortController()
    const transport = network.transport(network.addressFor('client'))
    const connection = await transport.connect(listener.address, { ...CONNECT, signal: stop.signal })
    const end = new End(connection)
    stop.abort('too late')
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(end.closes, [])
    connection.close()
    assert.equal(await end.closed(), undefined)
  },

  async 'keeps many connections apart'(network) {
    const address = network.addressFor('server')
    const ends: End[] = []
    const listener = await network.transport(address).listen(address, (connection) => {
      const end = new End(connection)
      ends.push(end)
      void end.received(20).then(([first]) => connection.send(first ?? numbered(0)))
    })
    const clients = Array.from({ length: 100 }, async (_, which) => {
      const transport = network.transport(network.addressFor(`client ${which % 10}`))
      const end = new End(await transport.connect(listener.address, CONNECT))
      for (let count = 0; count < 20; count++) await end.connection.send(numbered(which))
      const [answer] = await end.received(1)
      assert.equal(answer && numberOf(answer), which)
    })
    await Promise.all(clients)
    assert.equal(ends.length, 100)
    for (const end of ends) assert.equal(new Set(end.frames.map(numberOf)).size, 1)
  },
}
