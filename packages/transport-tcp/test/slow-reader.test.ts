import type { TupleReader } from '@atoll/core'
import { type Method, RpcEndpoint } from '@atoll/transport'
import { afterEach, expect, test } from 'vitest'
import { Cable } from './cable.ts'
import { createParty, SOON, until } from './world.ts'

const KiB = 1024
const LOAD: Method<number, Uint8Array> = {
  name: 'test.load',
  request: { encode: (value) => ({ tuple: [value] }), decode: (reader) => reader.uint() },
  response: {
    encode: (body) => ({ tuple: [], body }),
    decode: (_: TupleReader, body: Uint8Array) => body,
  },
}

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function createPair(maxQueuedBytes: number) {
  const party = createParty('n2')
  const n2 = new RpcEndpoint(
    party.runtime,
    { transport: party.transport, addressOf: () => '127.0.0.1:0' },
    { node: 'n2', maxQueuedBytes },
  )
  let served = 0
  n2.handle(LOAD, async (bytes) => {
    served += 1
    return new Uint8Array(bytes).fill(served)
  })
  await n2.open()
  const cable = new Cable(n2.address)
  await cable.listen()
  const caller = createParty('n1')
  const n1 = new RpcEndpoint(
    caller.runtime,
    {
      transport: caller.transport,
      addressOf: (node) => (node === 'n1' ? '127.0.0.1:0' : cable.address),
    },
    { node: 'n1', maxInFlightPerPeer: 1000 },
  )
  await n1.open()
  cleanups.push(
    () => n2.close(),
    () => cable.close(),
    () => n1.close(),
  )
  const held = () => party.metrics.value('atoll_rpc_held_total') ?? 0
  const refused = () => party.metrics.value('atoll_rpc_refused_total', { code: 'ATOLL_OVERLOADED' }) ?? 0
  return { n1, cable, held, refused, served: () => served }
}

test('a peer that reads slowly gets every answer over TCP, and keeps its connection', async () => {
  const { n1, cable, held, served } = await createPair(32 * 1024 * KiB)
  await n1.call('n2', LOAD, 0, SOON)
  cable.holdBack()
  const calls: Promise<Uint8Array>[] = []
  // 100 MiB of answers: sockets hold some of them, and no more than 32 may wait.
  for (let asked = 0; asked < 200; asked++) {
    calls.push(n1.call('n2', LOAD, 512 * KiB, SOON))
    await until(() => served() + held() >= asked + 2)
  }
  expect(held()).toBeGreaterThan(100)
  cable.letGo()
  const answers = await Promise.all(calls)
  expect(answers.every((body, at) => body.length === 512 * KiB && body[0] === ((at + 2) & 255))).toBe(true)
  expect([served(), n1.peers]).toEqual([201, ['n2']])
})

test('a peer that does not read at all is told why it loses its connection', async () => {
  const { n1, cable, refused } = await createPair(64 * KiB)
  await n1.call('n2', LOAD, 0, SOON)
  cable.holdBack()
  // What cannot wait is refused with a word each, until there are too many words.
  const calls: Promise<unknown>[] = []
  const lost = new Promise((resolve) => n1.events.once('peer-disconnected', resolve))
  const ask = () => calls.push(n1.call('n2', LOAD, 512 * KiB, SOON).catch((error: unknown) => error))
  for (let asked = 0; asked < 900; asked++) ask()
  await until(() => refused() > 0)
  cable.letGo()
  await lost
  const outcomes = await Promise.all(calls)
  expect(outcomes.at(-1)).toMatchObject({
    code: 'ATOLL_UNREACHABLE',
    definite: false,
    message: expect.stringMatching(
      /lost before it answered: .* said: .* does not read: more than 65536 bytes/,
    ),
  })
})
