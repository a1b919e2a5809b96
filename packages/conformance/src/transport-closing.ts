import assert from 'node:assert/strict'
import { AtollError, isAtollError } from '@atoll/core'
import type { Connection } from '@atoll/transport'
import type { TransportTests } from './transport.ts'
import { CONNECT, connectPair, End, numbered, numberOf, pattern } from './transport-ends.ts'

/** How connections end. */
export const closingTests: TransportTests = {
  async 'closes once for both sides, without a reason'(network) {
    const { near, far } = await connectPair(network)
    near.connection.close()
    near.connection.close()
    assert.equal(await near.closed(), undefined)
    assert.equal(await far.closed(), undefined)
    far.connection.close()
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(near.closes.length + far.closes.length, 2)
  },

  async 'delivers what was sent before the close, and then the close'(network) {
    const { near, far } = await connectPair(network)
    for (let number = 0; number < 50; number++) void near.connection.send(numbered(number, 20_000))
    near.connection.close()
    assert.equal(await far.closed(), undefined)
    assert.deepEqual(
      far.frames.map(numberOf),
      Array.from({ length: 50 }, (_, at) => at),
    )
  },

  async 'tells the other side why, after what was sent before'(network) {
    const { near, far } = await connectPair(network)
    for (let number = 0; number < 50; number++) void near.connection.send(numbered(number, 20_000))
    near.connection.close(new AtollError('ATOLL_OVERLOADED', 'enough', { cause: new Error('inner') }))
    assert.equal(await near.closed(), undefined)
    const reason = await far.closed()
    assert.equal(far.frames.length, 50)
    assert.ok(isAtollError(reason, 'ATOLL_OVERLOADED'), String(reason))
    assert.match(reason.message, /said: enough$/)
    assert.deepEqual([reason.definite, reason.cause], [false, undefined])
  },

  async 'delivers nothing to the side that closed, and takes nothing from it'(network) {
    const { near, far } = await connectPair(network)
    for (let number = 0; number < 10; number++) void far.connection.send(numbered(number))
    near.connection.close()
    const before = near.frames.length
    assert.equal(near.connection.send(numbered(1)), undefined)
    await far.closed()
    await near.closed()
    assert.equal(near.frames.length, before)
    assert.equal(far.frames.length, 0)
    assert.equal(far.connection.send(numbered(1)), undefined)
  },

  async 'frees a sender that waits when the other side closes'(network) {
    const { near, far } = await connectPair(network)
    const body = pattern(1024 * 1024, 1)
    let patience: Promise<void> | undefined
    for (let count = 0; count < 64; count++) {
      patience = near.connection.send({ ...numbered(count), body }) ?? patience
    }
    far.connection.close()
    await patience
    await near.closed()
  },

  async 'keeps frames and the end for whoever listens later'(network) {
    const address = network.addressFor('server')
    const accepted: ((connection: Connection) => void)[] = []
    const arrival = new Promise<Connection>((resolve) => accepted.push(resolve))
    const listener = await network
      .transport(address)
      .listen(address, (connection) => accepted[0]?.(connection))
    const near = new End(
      await network.transport(network.addressFor('client')).connect(listener.address, CONNECT),
    )
    const far = await arrival
    void near.connection.send(numbered(7))
    near.connection.close()
    await near.closed()
    await new Promise((resolve) => setImmediate(resolve))
    const late = new End(far)
    assert.equal(await late.closed(), undefined)
    assert.deepEqual(late.frames.map(numberOf), [7])
  },
}
