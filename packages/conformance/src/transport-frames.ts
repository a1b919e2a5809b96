import assert from 'node:assert/strict'
import type { Frame } from '@atoll/transport'
import type { TransportTests } from './transport.ts'
import { CONNECT, connectPair, End, numbered, numberOf, pattern, sendAll } from './transport-ends.ts'

const MiB = 1024 * 1024

/** Whether a frame is the one that was sent. A body of no bytes may arrive as no body. */
function assertSame(arrived: Frame | undefined, sent: Frame): void {
  assert.ok(arrived !== undefined)
  assert.equal(Buffer.compare(arrived.head, sent.head), 0)
  assert.equal(Buffer.compare(arrived.body ?? Buffer.alloc(0), sent.body ?? Buffer.alloc(0)), 0)
}

/** What is sent arrives: all of it, once, in order, byte for byte. */
export const frameTests: TransportTests = {
  async 'carries frames both ways at one time, in order'(network) {
    const { near, far } = await connectPair(network)
    const count = 3000
    const send = async (end: End) => {
      for (let number = 0; number < count; number++) {
        await end.connection.send(numbered(number, number % 10 === 0 ? number : 0))
      }
    }
    await Promise.all([send(near), send(far)])
    for (const end of [near, far]) {
      const numbers = (await end.received(count)).map(numberOf)
      assert.deepEqual(
        numbers,
        Array.from({ length: count }, (_, at) => at),
      )
    }
  },

  async 'carries heads and bodies of all sizes as they are'(network) {
    const { near, far } = await connectPair(network)
    const sent = [
      { head: pattern(1, 1) },
      { head: pattern(1, 2), body: new Uint8Array(0) },
      { head: pattern(3, 3), body: pattern(1, 3) },
      { head: pattern(300_000, 4), body: pattern(70_000, 4) },
      { head: pattern(5, 5), body: pattern(5 * MiB, 5) },
      { head: pattern(40, 6), body: pattern(8 * MiB, 6).subarray(MiB, 3 * MiB) },
      { head: pattern(7, 7) },
    ]
    await sendAll(near.connection, sent)
    const arrived = await far.received(sent.length)
    for (const [at, frame] of sent.entries()) assertSame(arrived[at], frame)
  },

  async 'loses nothing that is said at once by either side'(network) {
    const address = network.addressFor('server')
    const accepted: End[] = []
    const listener = await network.transport(address).listen(address, (connection) => {
      void connection.send(numbered(1))
      accepted.push(new End(connection))
    })
    const connection = await network
      .transport(network.addressFor('client'))
      .connect(listener.address, CONNECT)
    void connection.send(numbered(2))
    const end = new End(connection)
    assert.deepEqual((await end.received(1)).map(numberOf), [1])
    const [far] = accepted
    assert.deepEqual((await far?.received(1))?.map(numberOf), [2])
  },

  async 'carries urgent frames once and in their order, while others keep theirs'(network) {
    const { near, far } = await connectPair(network)
    const count = 40
    for (let number = 0; number < count; number++) {
      const urgent = number % 2 === 1
      void near.connection.send({ ...numbered(number, urgent ? 0 : 200_000), urgent })
    }
    const numbers = (await far.received(count)).map(numberOf)
    for (const lane of [0, 1]) {
      assert.deepEqual(
        numbers.filter((number) => number % 2 === lane),
        Array.from({ length: count / 2 }, (_, at) => 2 * at + lane),
      )
    }
  },

  async 'asks a sender for patience that does not wait, and loses nothing all the same'(network) {
    const { near, far } = await connectPair(network)
    const body = pattern(MiB, 1)
    const count = 64
    let patience: Promise<void> | undefined
    for (let number = 0; number < count; number++) {
      patience = near.connection.send({ ...numbered(number), body }) ?? patience
    }
    assert.ok(patience !== undefined, `${count} MiB were taken without a word`)
    await patience
    const numbers = (await far.received(count)).map(numberOf)
    assert.deepEqual(
      numbers,
      Array.from({ length: count }, (_, at) => at),
    )
    for (const frame of far.frames) assertSame(frame, { head: frame.head, body })
  },
}
