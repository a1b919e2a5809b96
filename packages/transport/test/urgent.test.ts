import type { AtollError } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { type Connection, type Frame, type Method, RpcEndpoint, type Transport } from '../src/index.ts'
import { isUrgent, LaneIds, SeenIds } from '../src/lanes.ts'
import { createTestCluster, ECHO, settle, text } from './world.ts'

const SOON = { timeoutMs: 1000 }
const PROBE: Method<string, string> = { name: 'test.probe', request: text, response: text, urgent: true }

test('ids of the two lanes never meet, and each lane knows its own repetitions', () => {
  const [ids, seen] = [new LaneIds(), new SeenIds()]
  const ordinary = Array.from({ length: 5 }, () => ids.next(false))
  const urgent = Array.from({ length: 5 }, () => ids.next(true))
  expect(ordinary).toEqual([2, 4, 6, 8, 10])
  expect(urgent).toEqual([1, 3, 5, 7, 9])
  expect([...ordinary, ...urgent].map(isUrgent)).toEqual([...Array(5).fill(false), ...Array(5).fill(true)])
  expect([7, 2, 5, 7, 9, 4, 2, 10].map((id) => seen.add(id))).toEqual([
    true,
    true,
    false,
    false,
    true,
    true,
    false,
    true,
  ])
})

/** A connection on which urgent frames overtake all others that are on their way. */
class Overtaking implements Connection {
  readonly peer: string
  readonly #inner: Connection
  #waiting: Frame[] = []

  constructor(inner: Connection) {
    this.#inner = inner
    this.peer = inner.peer
  }

  set onFrame(onFrame: (frame: Frame) => void) {
    this.#inner.onFrame = onFrame
  }

  set onClose(onClose: (reason: Error | undefined) => void) {
    this.#inner.onClose = onClose
  }

  send(frame: Frame): undefined {
    if (frame.urgent) return void this.#inner.send(frame)
    this.#waiting.push(frame)
    setImmediate(() => {
      for (const waiting of this.#waiting.splice(0)) void this.#inner.send(waiting)
    })
  }

  close(reason?: AtollError): void {
    this.#inner.close(reason)
  }
}

function overtaking(inner: Transport): Transport {
  return {
    listen: (address, onConnection) =>
      inner.listen(address, (connection) => onConnection(new Overtaking(connection))),
    connect: async (address, options) => new Overtaking(await inner.connect(address, options)),
  }
}

describe('an urgent call', () => {
  test('overtakes others both ways on a connection that lets it, and each still runs once', async () => {
    const { network, runtime } = createTestCluster({ duplicatePerMillion: 1_000_000 })
    const create = async (node: string) => {
      const transport = overtaking(network.transport(node))
      const endpoint = new RpcEndpoint(runtime, { transport, addressOf: (name) => name }, { node })
      await endpoint.open()
      return endpoint
    }
    const [a, b] = [await create('a'), await create('b')]
    const served: string[] = []
    const answered: string[] = []
    for (const method of [ECHO, PROBE]) {
      b.handle(method, async (request) => {
        served.push(request)
        return request
      })
    }
    const call = async (method: Method<string, string>, request: string) => {
      answered.push(await a.call('b', method, request, SOON))
    }
    await call(ECHO, 'first')
    await Promise.all([call(ECHO, 'one'), call(ECHO, 'two'), call(PROBE, 'alive?'), call(PROBE, 'still?')])
    expect(served).toEqual(['first', 'alive?', 'still?', 'one', 'two'])
    expect(answered).toEqual(served)
  })

  test('does not wait for room where others do', async () => {
    const { clock, endpoint } = createTestCluster({ highWaterBytes: 1, delayMs: { min: 5, max: 5 } })
    const [a, b] = [await endpoint('a'), await endpoint('b')]
    const served: string[] = []
    for (const method of [ECHO, PROBE]) {
      b.handle(method, async (request) => {
        served.push(request)
        return request
      })
    }
    const done = a.call('b', ECHO, 'first', SOON)
    await clock.advance(50)
    await done
    const all = Promise.all([
      a.call('b', ECHO, 'one', SOON),
      a.call('b', ECHO, 'two', SOON),
      a.call('b', PROBE, 'alive?', SOON),
    ])
    await clock.advance(100)
    expect(await all).toEqual(['one', 'two', 'alive?'])
    expect(served).toEqual(['first', 'one', 'alive?', 'two'])
  })

  test('that is given up takes its cancellation along the same lane', async () => {
    const { endpoint } = createTestCluster()
    const [a, b] = [await endpoint('a'), await endpoint('b')]
    const signals: AbortSignal[] = []
    b.handle(PROBE, (_request, { signal }) => {
      signals.push(signal)
      return new Promise(() => {})
    })
    const stop = new AbortController()
    const seen = a.call('b', PROBE, '', { ...SOON, signal: stop.signal }).catch((error) => error)
    await settle()
    stop.abort()
    expect(await seen).toMatchObject({ code: 'ATOLL_ABORTED' })
    await settle()
    expect(signals.map((signal) => signal.aborted)).toEqual([true])
  })
})
