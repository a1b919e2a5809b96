import { AtollError, equalBytes } from '@atoll/core'
import type { ByteStream, RpcEndpoint, StreamMethod } from '@atoll/transport'
import { describe, expect, test } from 'vitest'
import { createTestCluster, ECHO, settle, type TestCluster, text } from './world.ts'

const NODES = ['a', 'b', 'c']
const STEPS = 150
const COPY: StreamMethod<string> = { name: 'test.copy', request: text }

interface Call {
  readonly request: string
  outcome: string
}

/** A cluster in which anything that a network can do happens while calls run; healed and closed at the end. */
async function chaos(seed: number) {
  const cluster = createTestCluster({ delayMs: { min: 0, max: 20 } }, seed)
  const endpoints = new Map<string, RpcEndpoint>()
  const runs: string[] = []
  const calls: Call[] = []
  const start = async (node: string) => {
    const endpoint = await cluster.endpoint(node, { maxConcurrentHandlers: 5 })
    endpoint.handle(ECHO, async (request) => {
      runs.push(request)
      await cluster.clock.sleep(cluster.runtime.random.below(60))
      return `${request} on ${node}`
    })
    endpoints.set(node, endpoint)
  }
  for (const node of NODES) await start(node)
  const working: Promise<void>[] = []
  for (let step = 0; step < STEPS; step++) {
    await disturb(cluster)
    const [from, to] = twoNodes(cluster)
    const call = { request: `${step}`, outcome: 'pending' }
    calls.push(call)
    working.push(ask(cluster, { endpoint: endpoints.get(from)!, to, call }))
    await cluster.clock.advance(cluster.runtime.random.below(20))
  }
  cluster.network.heal()
  for (const node of NODES) cluster.network.restore(node)
  await cluster.clock.advance(10_000)
  await Promise.all(working)
  const closing = [...endpoints.values()].map((endpoint) => endpoint.close())
  await cluster.clock.advance(6000)
  await Promise.all(closing)
  return { cluster, runs, calls }
}

function twoNodes({ runtime }: TestCluster): [string, string] {
  const from = runtime.random.below(NODES.length)
  const to = (from + 1 + runtime.random.below(NODES.length - 1)) % NODES.length
  return [NODES[from]!, NODES[to]!]
}

/** Does one of the things that networks do, or nothing. */
async function disturb(cluster: TestCluster): Promise<void> {
  const { network, runtime } = cluster
  const [one, other] = twoNodes(cluster)
  switch (runtime.random.below(16)) {
    case 0:
      return network.partition([one], [other], { oneWay: runtime.random.below(2) === 0 })
    case 1:
    case 2:
      return network.heal()
    case 3:
      network.cut(one)
      return network.restore(one)
    case 4:
      return network.cut(one)
    case 5:
    case 6:
      for (const node of NODES) network.restore(node)
      return
    case 7:
      return network.configure({ lossPerMillion: 100_000, duplicatePerMillion: 100_000 })
    default:
  }
}

async function ask(
  cluster: TestCluster,
  { endpoint, to, call }: { endpoint: RpcEndpoint; to: string; call: Call },
) {
  const stop = new AbortController()
  const timeoutMs = 1 + cluster.runtime.random.below(300)
  if (cluster.runtime.random.below(4) === 0)
    cluster.clock.timer(cluster.runtime.random.below(100), () => stop.abort())
  try {
    const answer = await endpoint.call(to, ECHO, call.request, { timeoutMs, signal: stop.signal })
    call.outcome = answer === `${call.request} on ${to}` ? 'answered' : `wrong: ${answer}`
  } catch (error) {
    call.outcome =
      error instanceof AtollError ? `${error.definite ? 'definite' : 'unknown'} ${error.code}` : `${error}`
  }
}

describe('under chaos', () => {
  const seeds = Array.from({ length: 15 }, (_, at) => at + 1)

  test('a handler runs at most once for a call; an answer is right; "definite" means that it never ran', async () => {
    const outcomes = new Map<string, number>()
    for (const seed of seeds) {
      const { cluster, runs, calls } = await chaos(seed)
      const ran = new Set(runs)
      expect(runs.length, `seed ${seed}: runs`).toBe(ran.size)
      for (const { request, outcome } of calls) {
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        if (outcome === 'answered') expect(ran.has(request), `seed ${seed}: ${request} ran`).toBe(true)
        else if (outcome.startsWith('definite'))
          expect(ran.has(request), `seed ${seed}: ${request} ran`).toBe(false)
        else expect(outcome).toMatch(/^unknown ATOLL_(UNREACHABLE|TIMEOUT|ABORTED)$/)
      }
      expect(cluster.clock.pending, `seed ${seed}: timers`).toBe(0)
      expect(cluster.errors).toEqual([])
    }
    // All the ways a call can go were taken.
    expect([...outcomes.keys()].sort()).toEqual([
      'answered',
      'definite ATOLL_ABORTED',
      'definite ATOLL_OVERLOADED',
      'definite ATOLL_UNREACHABLE',
      'unknown ATOLL_ABORTED',
      'unknown ATOLL_TIMEOUT',
      'unknown ATOLL_UNREACHABLE',
    ])
  })

  test('the same seed gives the same history', async () => {
    const [first, second] = [await chaos(3), await chaos(3)]
    expect(first.calls).toEqual(second.calls)
    expect(first.runs).toEqual(second.runs)
  })

  test('a stream gives its reader the right bytes from the start, and "ended" means all of them', async () => {
    const endings = new Map<string, number>()
    for (const seed of seeds) {
      const cluster = createTestCluster({ delayMs: { min: 0, max: 5 } }, seed)
      const options = { streamWindowBytes: 4096, streamChunkBytes: 1024, streamIdleTimeoutMs: 1000 }
      const [a, b] = [await cluster.endpoint('a', options), await cluster.endpoint('b', options)]
      const sent = Uint8Array.from({ length: 30_000 }, (_, at) => (at * 7 + seed) & 0xff)
      b.handleStream(COPY, async (_request, stream) => {
        for (let at = 0; at < sent.length; at += 900) await stream.write(sent.slice(at, at + 900))
      })
      const opening = a.openStream('b', COPY, '')
      await cluster.clock.advance(100)
      const reading = drain(await opening)
      for (let step = 0; step < 30; step++) {
        const fault = cluster.runtime.random.below(60)
        if (fault === 0) cluster.network.configure({ lossPerMillion: 20_000 })
        else if (fault === 1) cluster.network.configure({ duplicatePerMillion: 300_000 })
        else if (fault <= 3) cluster.network.partition(['a'], ['b'])
        else if (fault === 4) cluster.network.cut('b')
        else if (fault < 8) cluster.network.heal()
        await cluster.clock.advance(5)
      }
      await cluster.clock.advance(5000)
      const { bytes, ending } = await reading
      expect(equalBytes(bytes, sent.subarray(0, bytes.length)), `seed ${seed}`).toBe(true)
      if (ending === 'ended') expect(bytes.length, `seed ${seed}`).toBe(sent.length)
      endings.set(ending, (endings.get(ending) ?? 0) + 1)
      const closing = Promise.all([a.close(), b.close()])
      await cluster.clock.advance(6000)
      await closing
      expect(cluster.clock.pending, `seed ${seed}: timers`).toBe(0)
    }
    expect([...endings.keys()].sort()).toEqual(['ATOLL_TIMEOUT', 'ATOLL_UNREACHABLE', 'ended'])
  })
})

async function drain(stream: ByteStream): Promise<{ bytes: Uint8Array; ending: string }> {
  const bytes: number[] = []
  try {
    for await (const chunk of stream) {
      bytes.push(...chunk)
      await settle()
    }
    return { bytes: Uint8Array.from(bytes), ending: 'ended' }
  } catch (error) {
    return { bytes: Uint8Array.from(bytes), ending: error instanceof AtollError ? error.code : `${error}` }
  }
}
