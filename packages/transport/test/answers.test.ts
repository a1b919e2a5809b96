import { AtollError, wrongRange } from '@atoll/core'
import { BatchCalls, BatchServer, batchMethod, type Method } from '@atoll/transport'
import { expect, test } from 'vitest'
import { COUNT, createTestCluster, ECHO } from './world.ts'

test('a call whose answer cannot be written has an unknown outcome, and is no fault of the caller', async () => {
  const cluster = createTestCluster()
  const [a, b] = [await cluster.endpoint('a'), await cluster.endpoint('b')]
  const encode = (): never => {
    throw wrongRange('value', 'must be a finite number, got NaN')
  }
  const method = { ...ECHO, response: { ...ECHO.response, encode } }
  b.handle(method, async (request) => request)
  await expect(a.call('b', method, 'x', { timeoutMs: 100 })).rejects.toMatchObject({
    code: 'ATOLL_STORAGE',
    definite: false,
  })
})

test.each(['answer', 'progress'] as const)(
  'after an %s that cannot be read the outcome is unknown',
  async (what) => {
    const cluster = createTestCluster()
    const [a, b] = [await cluster.endpoint('a'), await cluster.endpoint('b')]
    const nonsense = { encode: () => ({ tuple: ['nonsense'] }), decode: COUNT.request.decode }
    const method: Method<number, number, number> = {
      name: 'test.nonsense',
      request: COUNT.request,
      response: what === 'answer' ? nonsense : COUNT.request,
      progress: what === 'progress' ? nonsense : COUNT.request,
    }
    b.handle(method, async (request, context) => {
      context.progress(request)
      return request
    })
    await expect(a.call('b', method, 1, { timeoutMs: 100, onProgress: () => {} })).rejects.toMatchObject({
      code: 'ATOLL_CORRUPT',
      definite: false,
      details: { node: 'b' },
    })
  },
)

/** Half of a character that takes two: no UTF-8 stands for it. */
const HALF = '\ud83d'

test.each(['by itself', 'with others'] as const)(
  'the caller hears of an error whatever its text is, of a call that goes %s',
  async (way) => {
    const cluster = createTestCluster()
    const a = await cluster.endpoint('a', { capabilities: ['batches'] })
    const b = await cluster.endpoint('b', { capabilities: ['batches'] })
    const batch = batchMethod('test.batch')
    new BatchServer(b, batch, cluster.runtime).handle(ECHO, async (request) => {
      if (request === 'first') return request
      // The text is cut behind 1024 characters.
      const message = request === 'long' ? `${'x'.repeat(1023)}\u{1f600}` : `a port says ${HALF}`
      throw new AtollError('ATOLL_LOCKED', message, { details: { [`name ${HALF}`]: `text ${HALF}` } })
    })
    await a.call('b', ECHO, 'first', { timeoutMs: 100 })
    const calls =
      way === 'by itself' ? a : new BatchCalls({ endpoint: a, method: batch, capability: 'batches' })
    const asked = ['long', 'odd', 'odd'].map((request) => calls.call('b', ECHO, request, { timeoutMs: 100 }))
    const details = { 'name \ufffd': 'text \ufffd' }
    const odd = { reason: { code: 'ATOLL_LOCKED', message: 'a port says \ufffd', details } }
    expect(await Promise.allSettled(asked)).toMatchObject([
      { reason: { code: 'ATOLL_LOCKED', message: `${'x'.repeat(1023)}\ufffd`, details } },
      odd,
      odd,
    ])
  },
)
