import { AtollError, fromUtf8, utf8 } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { failure, islands, keyId, keyOn, texts } from './islands.ts'

const busy = new AtollError('ATOLL_OVERLOADED', 'busy')
const lost = new AtollError('ATOLL_TIMEOUT', 'lost')

describe('put', () => {
  test('the local replica coordinates where there is one', async () => {
    const setting = await islands()
    const { world, coordinator, replicas } = setting
    await world.run(async () => {
      await coordinator.put(keyOn(setting, ['n4', 'n5', 'n1']), { value: utf8('one') })
      expect(replicas.calls[0]).toMatchObject({ operation: 'coordinate', node: 'n1' })
      await coordinator.put(keyOn(setting, ['n2', 'n3', 'n4']), { value: utf8('one') })
      expect(replicas.calls.filter(({ operation }) => operation === 'coordinate')[1]?.node).toBe('n2')
    })
  })

  test('alone or not at all: a new key takes no read, one that is there is left as it is', async () => {
    const setting = await islands()
    const { world, coordinator, replicas } = setting
    const id = keyOn(setting, ['n2', 'n3', 'n4'])
    await world.run(async () => {
      const first = await coordinator.put(id, { value: utf8('one'), ifAlone: true })
      expect(first).toMatchObject({ alone: true })
      expect(await coordinator.put(id, { value: utf8('two'), ifAlone: true })).toMatchObject({
        alone: false,
        accepted: 0,
      })
      const { context } = first
      expect(await coordinator.put(id, { value: utf8('three'), context, ifAlone: true })).toMatchObject({
        alone: true,
      })
      expect(replicas.count('get')).toBe(0)
      expect(texts(await coordinator.get(id))).toEqual(['three'])
      expect(await coordinator.put(id, { value: utf8('four') })).toMatchObject({ alone: false })
    })
  })

  test('a dot that was given before is known as such: all get the write anew, and none is lost', async () => {
    const setting = await islands()
    const { world, coordinator, replicas } = setting
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    const [first, second, third] = setting.primaries(id)
    await world.run(async () => {
      const options = { w: 3, dw: 3 }
      await coordinator.put(id, { value: utf8('one') }, options)
      replicas.putBack(first!)
      // The third replica knows of a later write alone, so that it takes the dot for that of something old.
      const later = replicas.peek(third!, id)!
      const dot = { actor: later.siblings[0]!.dot.actor, counter: 2 }
      const writeId = new Uint8Array(16).fill(7)
      replicas.store(third!, id, {
        clock: new Map([[dot.actor, 2]]),
        siblings: [{ ...later.siblings[0]!, dot, writeId, value: utf8('later') }],
      })
      const written = await coordinator.put(id, { value: utf8('two') }, options)
      expect(written).toMatchObject({ durable: 3, alone: false })
      for (const place of [first, second, third])
        expect(replicas.peek(place!, id)!.siblings.map(({ value }) => fromUtf8(value))).toContain('two')
      expect(texts(await coordinator.get(id, { r: 3 })).sort()).toEqual(['later', 'one', 'two'])
    })
  })

  test('it is not alone if only a replica that is asked later knows of another write', async () => {
    const setting = await islands()
    const { world, coordinator, replicas } = setting
    const id = keyOn(setting, ['n2', 'n3', 'n4'])
    await world.run(async () => {
      replicas.fault = (node) => (node === 'n2' ? { kind: 'before', error: busy } : undefined)
      await coordinator.put(id, { value: utf8('one') })
      replicas.fault = () => undefined
      const second = await coordinator.put(id, { value: utf8('two'), ifAlone: true })
      expect(second).toMatchObject({ alone: false, durable: 2 })
      expect(texts(await coordinator.get(id)).sort()).toEqual(['one', 'two'])
    })
  })

  test('a coordinator whose answer is lost is replaced, and the write is seen once', async () => {
    const setting = await islands()
    const { world, coordinator, replicas } = setting
    const id = keyOn(setting, ['n2', 'n3', 'n4'])
    await world.run(async () => {
      replicas.fault = (node, operation) =>
        operation === 'coordinate' && node === 'n2' ? { kind: 'after', error: lost } : undefined
      await coordinator.put(id, { value: utf8('one') })
      replicas.fault = () => undefined
      await coordinator.idle()
      expect(texts(await coordinator.get(id))).toEqual(['one'])
      expect(replicas.count('coordinate')).toBe(2)
    })
  })

  test('a coordinator that hangs is given up after attemptTimeoutMs', async () => {
    const setting = await islands({ options: { attemptTimeoutMs: 200 } })
    const { world, coordinator, replicas } = setting
    const id = keyOn(setting, ['n2', 'n3', 'n4'])
    await world.run(async () => {
      replicas.fault = (node) => (node === 'n2' ? { kind: 'hang' } : undefined)
      await coordinator.put(id, { value: utf8('one') })
      expect(world.nowMs).toBe(202)
    })
  })

  test('nodes that have just died are replaced by fallbacks in the same write', async () => {
    const setting = await islands({ nodes: 6 })
    const { world, coordinator, replicas, down } = setting
    const id = keyOn(setting, ['n2', 'n3', 'n4'])
    await world.run(async () => {
      replicas.dead.add('n2').add('n3')
      const written = await coordinator.put(id, { value: utf8('one') }, { w: 'all', dw: 'all' })
      expect(written).toMatchObject({ durable: 3, primaries: 1 })
      // Those who know of it by now look in the same places.
      down.add('n2').add('n3')
      expect(texts(await coordinator.get(id, { r: 'all' }))).toEqual(['one'])
    })
  })

  test('a strict write does without fallbacks, and is rejected for certain where nothing was written', async () => {
    const setting = await islands()
    const { world, coordinator, replicas, runtime } = setting
    const id = keyOn(setting, ['n2', 'n3', 'n4'])
    await world.run(async () => {
      replicas.dead.add('n2').add('n3')
      const error = await failure(coordinator.put(id, { value: utf8('one') }, { sloppy: false }))
      expect(error).toMatchObject({
        code: 'ATOLL_QUORUM_UNMET',
        definite: true,
        details: { outcome: 'rejected', accepted: 0, durable: 0, primaries: 0, failed: 2 },
      })
      expect(replicas.holders(id)).toEqual([])
      expect(runtime.metrics.value('atoll_coordinator_unmet_total', { kind: 'write' })).toBe(1)
    })
  })

  test('refused by all for one reason: that reason is the code', async () => {
    const { world, coordinator, replicas } = await islands()
    await world.run(async () => {
      replicas.fault = () => ({ kind: 'before', error: busy })
      const error = await failure(coordinator.put(keyId('a'), { value: utf8('one') }))
      expect(error).toMatchObject({
        code: 'ATOLL_OVERLOADED',
        definite: true,
        details: { outcome: 'rejected' },
      })
    })
  })

  test('too few took it: unknown, with the counts', async () => {
    const { world, coordinator, replicas } = await islands()
    await world.run(async () => {
      replicas.fault = (_, operation) => (operation === 'put' ? { kind: 'before', error: busy } : undefined)
      const error = await failure(coordinator.put(keyId('a'), { value: utf8('one') }))
      expect(error).toMatchObject({
        code: 'ATOLL_QUORUM_UNMET',
        definite: false,
        details: {
          outcome: 'unknown',
          accepted: 1,
          durable: 1,
          failed: 2,
          needed: { n: 3, w: 2, dw: 2, pw: 0 },
        },
      })
    })
  })

  test('silence ends in ATOLL_TIMEOUT of unknown outcome at the deadline', async () => {
    const { world, coordinator, replicas } = await islands()
    await world.run(async () => {
      replicas.fault = (_, operation) => (operation === 'put' ? { kind: 'hang' } : undefined)
      const error = await failure(coordinator.put(keyId('a'), { value: utf8('one') }, { timeoutMs: 300 }))
      expect(error).toMatchObject({
        code: 'ATOLL_TIMEOUT',
        definite: false,
        message: expect.stringMatching(/ failed of 3, silent: n\d n\d$/),
        details: { durable: 1, down: [], unreachable: [], silent: [expect.any(String), expect.any(String)] },
      })
      expect(world.nowMs).toBe(300)
      await coordinator.idle()
    })
  })

  test('w above dw is met in memory', async () => {
    const { world, coordinator, replicas } = await islands()
    await world.run(async () => {
      replicas.delayMs = (_, operation) => (operation === 'put' ? 50 : 1)
      const written = await coordinator.put(keyId('a'), { value: utf8('one') }, { w: 'all', dw: 1 })
      expect(written).toMatchObject({ accepted: 3, durable: 1 })
      expect(world.nowMs).toBe(1)
    })
  })

  test('dw 0 still means one on disk', async () => {
    const { world, coordinator } = await islands()
    await world.run(async () => {
      const written = await coordinator.put(keyId('a'), { value: utf8('one') }, { w: 1, dw: 0 })
      expect(written.durable).toBe(1)
    })
  })

  test('an abort before the start is definite; one in the middle is not, and what began goes on', async () => {
    const { world, coordinator, replicas, runtime } = await islands()
    await world.run(async () => {
      const id = keyId('a')
      const early = new AbortController()
      early.abort()
      expect(
        await failure(coordinator.put(id, { value: utf8('no') }, { signal: early.signal })),
      ).toMatchObject({ code: 'ATOLL_ABORTED', definite: true })
      expect(replicas.calls).toEqual([])
      const late = new AbortController()
      const writing = failure(coordinator.put(id, { value: utf8('one') }, { signal: late.signal }))
      await runtime.clock.sleep(0.5)
      late.abort()
      expect(await writing).toMatchObject({ code: 'ATOLL_ABORTED', definite: false })
      await coordinator.idle()
      expect(replicas.holders(id)).toHaveLength(3)
    })
  })

  test('after an abort nobody else is asked to coordinate', async () => {
    const { world, coordinator, replicas, runtime } = await islands()
    await world.run(async () => {
      replicas.fault = () => ({ kind: 'before', error: busy })
      const controller = new AbortController()
      const signal = controller.signal
      const writing = failure(coordinator.put(keyId('a'), { value: utf8('one') }, { signal }))
      await runtime.clock.sleep(0.5)
      controller.abort()
      expect(await writing).toMatchObject({ code: 'ATOLL_ABORTED' })
      await coordinator.idle()
      expect(replicas.calls).toHaveLength(1)
    })
  })

  test('too few replicas up is said before anything is written', async () => {
    const { world, coordinator, replicas, primaries, down } = await islands()
    await world.run(async () => {
      const id = keyId('a')
      for (const { node } of primaries(id).slice(0, 2)) down.add(node)
      const error = await failure(coordinator.put(id, { value: utf8('one') }, { pw: 2 }))
      expect(error).toMatchObject({
        code: 'ATOLL_QUORUM_IMPOSSIBLE',
        definite: true,
        details: { n: 3, reachable: 3, primaries: 1, w: 2, dw: 2, pw: 2 },
      })
      expect(replicas.calls).toEqual([])
    })
  })

  test('wrong arguments are refused by name, and nothing is asked', async () => {
    const { coordinator, replicas } = await islands()
    const id = keyId('a')
    const value = utf8('one')
    await expect(coordinator.put(id, { value }, { w: 4 })).rejects.toThrow(/w is 4, n is 3/)
    await expect(coordinator.put(id, { value, valueCrc32: -1 })).rejects.toThrow(/valueCrc32/)
    await expect(coordinator.put(id, { value, expiresAtMs: Number.NaN })).rejects.toThrow(/expiresAtMs/)
    await expect(coordinator.put({ ...id, bucket: new Uint8Array(2000) }, { value })).rejects.toThrow(
      /bucket/,
    )
    await expect(coordinator.put(id, { value, context: utf8('?') })).rejects.toMatchObject({ definite: true })
    expect(replicas.calls).toEqual([])
  })
})

describe('delete', () => {
  test('replaces what a read sees, and leaves tombstones', async () => {
    const { world, coordinator, replicas } = await islands()
    await world.run(async () => {
      const id = keyId('a')
      await coordinator.put(id, { value: utf8('one') })
      await coordinator.put(id, { value: utf8('two') })
      const deleted = await coordinator.delete(id)
      expect(deleted).toMatchObject({ durable: 2 })
      const read = await coordinator.get(id)
      expect(read.values).toEqual([])
      expect(read.context).toBeInstanceOf(Uint8Array)
      await coordinator.idle()
      expect(
        replicas.recordsOf(id).every(({ siblings }) => siblings.every(({ tombstone }) => tombstone)),
      ).toBe(true)
      await coordinator.put(id, { value: utf8('three'), context: read.context })
      expect(texts(await coordinator.get(id))).toEqual(['three'])
    })
  })

  test('with an old context a newer write survives', async () => {
    const { world, coordinator } = await islands()
    await world.run(async () => {
      const id = keyId('a')
      const { context } = await coordinator.put(id, { value: utf8('one') })
      await coordinator.put(id, { value: utf8('two'), context })
      await coordinator.delete(id, { context })
      expect(texts(await coordinator.get(id))).toEqual(['two'])
    })
  })

  test('of nothing writes nothing and succeeds', async () => {
    const { world, coordinator, replicas } = await islands()
    await world.run(async () => {
      expect(await coordinator.delete(keyId('a'))).toEqual({
        accepted: 0,
        durable: 0,
        primaries: 0,
        alone: false,
        context: undefined,
      })
      expect(replicas.count('coordinate')).toBe(0)
    })
  })

  test('closing waits for both its calls', async () => {
    const { world, coordinator, replicas } = await islands()
    await world.run(async () => {
      const id = keyId('a')
      await coordinator.put(id, { value: utf8('one') })
      await coordinator.idle()
      const deleting = coordinator.delete(id)
      await coordinator.close()
      expect(
        replicas.recordsOf(id).every(({ siblings }) => siblings.every(({ tombstone }) => tombstone)),
      ).toBe(true)
      await deleting
    })
  })

  test('the read and the write share the time', async () => {
    const { world, coordinator, replicas } = await islands()
    await world.run(async () => {
      const id = keyId('a')
      await coordinator.put(id, { value: utf8('one') })
      await coordinator.idle()
      const startMs = world.nowMs
      replicas.delayMs = () => 60
      expect(await failure(coordinator.delete(id, { timeoutMs: 100 }))).toMatchObject({
        code: 'ATOLL_TIMEOUT',
      })
      expect(world.nowMs - startMs).toBe(100)
    })
  })
})
