import { AtollError, utf8 } from '@atoll/core'
import { expect, test } from 'vitest'
import { failure, type IslandsOptions, islands, keyOn } from './islands.ts'

async function withBlock(options: IslandsOptions = {}) {
  const setting = await islands(options)
  setting.replicas.letsGo = () => true
  const id = keyOn(setting, ['n5', 'n1', 'n2'], 'once')
  const seen = { released: 0 }
  const onReleased = () => {
    seen.released += 1
  }
  const write = () => setting.coordinator.put(id, { value: utf8('block'), onReleased })
  return { ...setting, id, seen, onReleased, write }
}

test('a value is released when the slowest replica has it, which may be after the answer', async () => {
  const { world, coordinator, replicas, seen, write } = await withBlock()
  await world.run(async () => {
    replicas.delayMs = (node) => (node === 'n2' ? 900 : 1)
    expect(await write()).toMatchObject({ durable: 2 })
    expect(seen.released).toBe(0)
    await coordinator.idle()
    expect(seen.released).toBe(1)
  })
})

test('a value is not released if a replica does not say that it lets go, or failed', async () => {
  const { world, coordinator, replicas, seen, write } = await withBlock()
  await world.run(async () => {
    replicas.letsGo = (node) => node !== 'n2'
    await write()
    await coordinator.idle()
    replicas.letsGo = () => true
    replicas.fault = (node) =>
      node === 'n2' ? { kind: 'after', error: new AtollError('ATOLL_TIMEOUT', 'no answer') } : undefined
    await write()
    await coordinator.idle()
    replicas.fault = (node) => (node === 'n2' ? { kind: 'unreachable' } : undefined)
    expect(await write()).toMatchObject({ durable: 2 })
    await coordinator.idle()
    expect(seen.released).toBe(0)
  })
})

test('a value is not released by a write that was not met, and is by one that waited for nodes', async () => {
  const { world, runtime, coordinator, replicas, down, suspects, id, seen, onReleased } = await withBlock()
  await world.run(async () => {
    const all = { w: 'all', dw: 'all', timeoutMs: 3000 } as const
    const write = () => coordinator.put(id, { value: utf8('block'), onReleased }, all)
    replicas.delayMs = (node) => (node === 'n2' ? 2999 : 1)
    replicas.fault = (node) => (node === 'n5' ? { kind: 'hang' } : undefined)
    await failure(write())
    await coordinator.idle()
    expect(seen.released).toBe(0)
    replicas.delayMs = () => 1
    replicas.fault = () => undefined
    for (const node of ['n2', 'n3', 'n4', 'n5']) {
      down.add(node)
      suspects.add(node)
    }
    const writing = write()
    await runtime.clock.sleep(100)
    down.clear()
    expect(await writing).toMatchObject({ durable: 3 })
    await coordinator.idle()
    expect(seen.released).toBe(1)
  })
})

test('what a replica coordinates is never released: others may build on it', async () => {
  const setting = await withBlock()
  const { world, coordinator, seen, onReleased } = setting
  await world.run(async () => {
    await coordinator.put(keyOn(setting, ['n5', 'n1', 'n2']), { value: utf8('v'), onReleased })
    await coordinator.idle()
    expect(seen.released).toBe(0)
  })
})

test('what throws when it is told, at once or later, stops nothing: it is counted, and the coordinator gets idle', async () => {
  const { world, runtime, coordinator, id } = await withBlock()
  const failures = () => runtime.metrics.value('atoll_port_failures_total', { port: 'onReleased' })
  await world.run(async () => {
    const onReleased = () => {
      throw new Error('cannot take it back')
    }
    expect(await coordinator.put(id, { value: utf8('block'), onReleased })).toMatchObject({ durable: 2 })
    await coordinator.idle()
    expect(failures()).toBe(1)
    const later = Reflect.apply(coordinator.put, coordinator, [
      id,
      { value: utf8('block'), onReleased: async () => onReleased() },
    ])
    expect(await later).toMatchObject({ durable: 2 })
    await coordinator.close()
    expect(failures()).toBe(2)
  })
})

test('what is called must be a function', async () => {
  const { world, coordinator, id } = await withBlock()
  await world.run(async () => {
    const write = { value: utf8('v'), onReleased: 'later' }
    expect(await failure(Reflect.apply(coordinator.put, coordinator, [id, write]))).toMatchObject({
      name: 'TypeError',
      message: expect.stringContaining('onReleased must be a function, got "later"'),
    })
  })
})
