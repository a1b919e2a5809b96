import { describe, expect, test } from 'vitest'
import type { RpcEndpoint, StreamMethod } from '../src/index.ts'
import { createTestCluster, ECHO, settle, text } from './world.ts'

const SOON = { timeoutMs: 100 }
const STREAM: StreamMethod<string> = { name: 'test.stream', request: text }

describe('who may call what', () => {
  test('is asked for each call, and an answer that takes its time is waited for', async () => {
    const cluster = createTestCluster()
    const asked: string[] = []
    const answers = [true, false, Promise.resolve(true), Promise.resolve(false)]
    const a = await cluster.endpoint('a')
    const b = await cluster.endpoint(
      'b',
      {},
      {
        admits: (node, method) => {
          asked.push(`${node} ${method}`)
          return answers.shift() ?? Promise.reject(new Error('nobody knows'))
        },
      },
    )
    b.handle(ECHO, async (text) => text)
    const call = () => a.call('b', ECHO, 'well', SOON).catch((error) => error)
    const refused = { code: 'ATOLL_UNAUTHORIZED', definite: true }
    const seen = [await call(), await call(), await call(), await call(), await call()]
    expect(seen).toMatchObject(['well', refused, 'well', refused, refused])
    expect(asked).toEqual(new Array(5).fill('a test.echo'))
  })

  describe('and until that is known', () => {
    /** `b` is asked by `a`, and does not know yet whether it may be; one handler may run. */
    async function createAsked() {
      const cluster = createTestCluster()
      const answers: ((admitted: boolean) => void)[] = []
      const a = await cluster.endpoint('a')
      const b = await cluster.endpoint(
        'b',
        { maxConcurrentHandlers: 1 },
        { admits: () => new Promise((resolve) => answers.push(resolve)) },
      )
      const served: string[] = []
      b.handle(ECHO, async (request) => {
        served.push(request)
        return request
      })
      b.handleStream(STREAM, async (request) => void served.push(request))
      return { ...cluster, a, b, answers, served }
    }

    /** What is asked next is served, so nothing is left of what was asked before. */
    async function assertFree(a: RpcEndpoint, answers: ((admitted: boolean) => void)[]) {
      const call = a.call('b', ECHO, 'next', SOON)
      await settle()
      answers.at(-1)?.(true)
      expect(await call).toBe('next')
    }

    test('a caller may give up: it is not served', async () => {
      const { a, answers, served } = await createAsked()
      const stop = new AbortController()
      const seen = a.call('b', ECHO, 'given up', { ...SOON, signal: stop.signal }).catch((error) => error)
      await settle()
      stop.abort()
      expect(await seen).toMatchObject({ code: 'ATOLL_ABORTED', definite: false })
      await settle()
      answers[0]?.(true)
      await settle()
      await assertFree(a, answers)
      expect(served).toEqual(['next'])
    })

    test('its time may pass: it is not served', async () => {
      const { a, answers, served, clock } = await createAsked()
      const seen = a.call('b', ECHO, 'late', SOON).catch((error) => error)
      await clock.advance(200)
      expect(await seen).toMatchObject({ code: 'ATOLL_TIMEOUT', definite: false })
      answers[0]?.(true)
      await settle()
      await assertFree(a, answers)
      expect(served).toEqual(['next'])
    })

    test('its connection may end: it is not served', async () => {
      const { a, b, answers, served, network } = await createAsked()
      const seen = a.call('b', ECHO, 'cut off', SOON).catch((error) => error)
      await settle()
      network.cut('a')
      expect(await seen).toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: false })
      await settle()
      answers[0]?.(true)
      await settle()
      expect(served).toEqual([])
      // It does not wait for a handler.
      await b.close()
    })

    test('the time of its request counts, and no other handler takes its place', async () => {
      const { a, answers, clock } = await createAsked()
      const call = a.call('b', ECHO, 'first', SOON)
      await settle()
      const other = a.call('b', ECHO, 'second', SOON)
      await expect(other).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED', definite: true })
      await clock.advance(50)
      answers[0]?.(true)
      expect(await call).toBe('first')
    })

    test('the opener of a stream may leave: it is not served', async () => {
      const { a, answers, served } = await createAsked()
      const stream = await a.openStream('b', STREAM, 'left')
      await settle()
      stream.abort(new Error('enough'))
      await settle()
      answers[0]?.(true)
      await settle()
      await assertFree(a, answers)
      expect(served).toEqual(['next'])
    })
  })
})
