import { wrongRange } from '@atoll/core'
import type { Method } from '@atoll/transport'
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
