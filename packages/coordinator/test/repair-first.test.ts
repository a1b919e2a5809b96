import { utf8 } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { islands, keyOn, texts } from './islands.ts'

const TIMEOUT_MS = 1000

describe.each(['default', 'once'])('a read of type %s that repairs first', (type) => {
  test.each([
    ['no repair is answered', 'put'],
    ['a replica does not answer, and no repair is answered', 'get or put'],
  ])('answers what it has found within its time, though %s', async (_, silent) => {
    const setting = await islands({ options: { timeoutMs: 5000, attemptTimeoutMs: 2000 } })
    const { coordinator, replicas, runtime, world } = setting
    await world.run(async () => {
      const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
      await coordinator.put(id, { value: utf8('x') })
      await coordinator.idle()
      const [, , third] = setting.primaries(id)
      if (third !== undefined) replicas.forget(third, id)
      replicas.fault = (node, operation) => {
        const hangs = operation === 'put' || (node === 'n2' && silent === 'get or put')
        return hangs ? { kind: 'hang' } : undefined
      }
      const startMs = runtime.clock.monotonicMs()
      const read = await coordinator.get(id, { repair: true, timeoutMs: TIMEOUT_MS })
      expect(texts(read)).toEqual(['x'])
      expect(runtime.clock.monotonicMs() - startMs).toBeCloseTo(TIMEOUT_MS, 0)
      expect(replicas.calls.filter(({ operation }) => operation === 'put').at(-1)?.node).toBe('n3')
    })
  })

  test('is given up by its signal while a repair is under way', async () => {
    const setting = await islands({ options: { timeoutMs: 5000 } })
    const { coordinator, replicas, runtime, world } = setting
    await world.run(async () => {
      const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
      await coordinator.put(id, { value: utf8('x') })
      await coordinator.idle()
      const [, , third] = setting.primaries(id)
      if (third !== undefined) replicas.forget(third, id)
      replicas.fault = (_, operation) => (operation === 'put' ? { kind: 'hang' } : undefined)
      const abort = new AbortController()
      const startMs = runtime.clock.monotonicMs()
      runtime.clock.timer(100, () => abort.abort())
      const reading = coordinator.get(id, { repair: true, signal: abort.signal })
      await expect(reading).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
      expect(runtime.clock.monotonicMs() - startMs).toBeCloseTo(100, 0)
    })
  })
})
