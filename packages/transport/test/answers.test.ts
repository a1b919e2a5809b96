import { wrongRange } from '@atoll/core'
import { expect, test } from 'vitest'
import { createTestCluster, ECHO } from './world.ts'

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
