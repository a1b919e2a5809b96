import { describe, expect, test } from 'vitest'
import { Backoff } from '../src/backoff.ts'
import { type ConnectOptions, type Method, RpcEndpoint } from '../src/index.ts'
import { createTestCluster, ECHO, settle, text } from './world.ts'

const SOON = { timeoutMs: 100 }
const PROBE: Method<string, string> = { name: 'test.probe', request: text, response: text, urgent: true }

/** A node that counts how often it tries to connect. */
async function lonely(reconnect: { reconnectBaseMs?: number; reconnectCapMs?: number } = {}) {
  const cluster = createTestCluster()
  const inner = cluster.network.transport('a')
  const attempts: number[] = []
  const transport = {
    listen: inner.listen,
    connect: (address: string, options: ConnectOptions) => {
      attempts.push(cluster.clock.monotonicMs())
      return inner.connect(address, options)
    },
  }
  const addressOf = (name: string) => {
    if (name === 'unknown') throw new TypeError('no such node')
    return name
  }
  const a = new RpcEndpoint(cluster.runtime, { transport, addressOf }, { node: 'a', ...reconnect })
  await a.open()
  const fail = (node = 'b', method = ECHO) => a.call(node, method, '', SOON).catch((error) => error)
  return { ...cluster, a, attempts, fail }
}

describe('a backoff', () => {
  const limits = { baseMs: 50, capMs: 1000 }

  test('doubles its ceiling up to the cap', () => {
    const backoff = new Backoff({ bytes: () => new Uint8Array(), below: (limit) => limit - 1 }, limits)
    const pauses = Array.from({ length: 100 }, (_, at) => {
      backoff.failed(at)
      return backoff.remainingMs(at)
    })
    expect(pauses.slice(0, 7)).toEqual([50, 100, 200, 400, 800, 1000, 1000])
    expect(pauses.at(-1)).toBe(1000)
  })

  test('draws from the whole range, nothing included', () => {
    const { runtime } = createTestCluster()
    const drawn = Array.from({ length: 2000 }, () => {
      const backoff = new Backoff(runtime.random, limits)
      backoff.failed(7)
      return backoff.remainingMs(7)
    })
    expect(new Set(drawn).size).toBe(51)
    expect([Math.min(...drawn), Math.max(...drawn)]).toEqual([0, 50])
  })
})

describe('a node that cannot be reached', () => {
  test('is not tried again in the pause: calls fail at once, for certain, and say why', async () => {
    const { attempts, fail, metrics, runtime, clock } = await lonely({ reconnectBaseMs: 1000 })
    await fail()
    const startMs = clock.monotonicMs()
    const paused = await fail()
    expect(paused).toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: true, transient: true })
    expect(paused.message).toMatch(/tried again in \d+ ms/)
    expect(paused.cause).toMatchObject({
      code: 'ATOLL_UNREACHABLE',
      message: expect.stringMatching(/nobody listens/),
    })
    expect(runtime.clock.monotonicMs()).toBe(startMs)
    expect(attempts).toHaveLength(1)
    expect(metrics.value('atoll_rpc_unreached_total', { code: 'ATOLL_UNREACHABLE' })).toBe(1)
  })

  test('is tried less and less often under constant calls, but every second or sooner', async () => {
    const { attempts, fail, clock } = await lonely()
    for (let ms = 0; ms < 30_000; ms += 10) {
      await fail()
      await clock.advance(10)
    }
    const gaps = attempts.slice(1).map((at, index) => at - (attempts[index] ?? 0))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(1010)
    expect(Math.max(...gaps.slice(0, 2))).toBeLessThanOrEqual(110)
    // 30 s of pauses of half a second on average, instead of 3000 attempts.
    expect(attempts.length).toBeGreaterThan(40)
    expect(attempts.length).toBeLessThan(100)
  })

  test('is reached again within a second of its return', async () => {
    const { a, endpoint, fail, clock } = await lonely()
    for (let ms = 0; ms < 10_000; ms += 100) {
      await fail()
      await clock.advance(100)
    }
    const b = await endpoint('b')
    b.handle(ECHO, async () => 'back')
    const backMs = clock.monotonicMs()
    let answer: unknown
    while (answer !== 'back') {
      answer = await a.call('b', ECHO, '', SOON).catch(() => undefined)
      await clock.advance(20)
    }
    expect(clock.monotonicMs() - backMs).toBeLessThanOrEqual(1040)
  })

  test('is reached at once when it has called itself', async () => {
    const { a, endpoint, fail } = await lonely({ reconnectBaseMs: 100_000, reconnectCapMs: 100_000 })
    await fail()
    const b = await endpoint('b')
    b.handle(ECHO, async () => 'back')
    await expect(a.call('b', ECHO, '', SOON)).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE' })
    void b.call('a', ECHO, '', SOON).catch(() => {})
    await settle()
    expect(await a.call('b', ECHO, '', SOON)).toBe('back')
  })

  test('is probed by urgent calls in the pause, and calls follow when it answers', async () => {
    const { a, attempts, endpoint, fail } = await lonely({
      reconnectBaseMs: 100_000,
      reconnectCapMs: 100_000,
    })
    await fail()
    await fail('b', PROBE)
    expect(attempts).toHaveLength(2)
    const b = await endpoint('b')
    b.handle(PROBE, async () => 'alive')
    b.handle(ECHO, async () => 'back')
    expect(await a.call('b', PROBE, '', SOON)).toBe('alive')
    expect(await a.call('b', ECHO, '', SOON)).toBe('back')
  })

  test('does not slow down calls to others, nor is one without an address made to wait', async () => {
    const { a, endpoint, fail } = await lonely({ reconnectBaseMs: 100_000, reconnectCapMs: 100_000 })
    const c = await endpoint('c')
    c.handle(ECHO, async () => 'here')
    await fail()
    expect(await a.call('c', ECHO, '', SOON)).toBe('here')
    expect((await fail('unknown')).message).toMatch(/no such node/)
    expect((await fail('unknown')).message).toMatch(/no such node/)
  })

  test('has no pause if that is switched off, nor after a connection that stood', async () => {
    const { attempts, fail } = await lonely({ reconnectCapMs: 0 })
    for (let count = 0; count < 5; count++) await fail()
    expect(attempts).toHaveLength(5)
    const {
      a,
      endpoint,
      network,
      attempts: others,
    } = await lonely({ reconnectBaseMs: 100_000, reconnectCapMs: 100_000 })
    const b = await endpoint('b')
    b.handle(ECHO, async () => 'here')
    await a.call('b', ECHO, '', SOON)
    network.cut('b')
    await settle()
    network.restore('b')
    await a.call('b', ECHO, '', SOON)
    expect(others).toHaveLength(2)
  })
})
