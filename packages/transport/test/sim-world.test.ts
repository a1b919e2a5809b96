import { fromUtf8, utf8 } from '@atoll/core'
import { createWorld } from '@atoll/sim'
import { MemoryNetwork, type Method, RpcEndpoint } from '@atoll/transport'
import { describe, expect, test } from 'vitest'

const GREET: Method<string, string> = {
  name: 'greet',
  request: { encode: (name) => ({ tuple: [name] }), decode: (reader) => reader.string() },
  response: { encode: (text) => ({ tuple: [], body: utf8(text) }), decode: (_, body) => fromUtf8(body) },
}

/** The example of the README, in a simulated world where each node has a clock of its own. */
async function story(seed: number) {
  const world = createWorld({ seed })
  const network = new MemoryNetwork(world.runtime('network'), { delayMs: { min: 1, max: 30 } })
  const endpoint = (node: string) => {
    const collaborators = { transport: network.transport(node), addressOf: (name: string) => name }
    return new RpcEndpoint(world.runtime(node), collaborators, { node })
  }
  const outcomes = await world.run(async () => {
    await using a = endpoint('a')
    await using b = endpoint('b')
    await Promise.all([a.open(), b.open()])
    b.handle(GREET, async (name, { from }) => `Hello ${name}, says b to ${from}`)
    const answer = await a.call('b', GREET, 'Ada', { timeoutMs: 1000 })
    const answeredMs = world.nowMs
    network.partition(['a'], ['b'])
    const error = await a.call('b', GREET, 'Ada', { timeoutMs: 1000 }).catch((e) => e)
    const waitedMs = world.nowMs - answeredMs
    return { answer, answeredMs, waitedMs, code: error.code, definite: error.definite }
  })
  return { ...outcomes, trace: world.traceHash() }
}

describe('in a simulated world', () => {
  test('calls take the time of the world, and the same seed gives the same trace', async () => {
    const [first, second, other] = [await story(1), await story(1), await story(2)]
    expect(first).toMatchObject({ answer: 'Hello Ada, says b to a', code: 'ATOLL_TIMEOUT', definite: false })
    // Six ways of at most 30 ms: to connect, to say hello, to ask; there and back each.
    expect(first.answeredMs).toBeLessThanOrEqual(180)
    expect(first.waitedMs).toBeGreaterThanOrEqual(1000)
    expect(first.waitedMs).toBeLessThan(1030)
    expect(second).toEqual(first)
    expect(other.trace).not.toBe(first.trace)
  })
})
