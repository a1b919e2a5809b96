import { writeOnceRecord } from '@atoll/causality'
import { AtollError, equalBytes, utf8 } from '@atoll/core'
import { expect, test } from 'vitest'
import { failure, type IslandsOptions, islands, keyOn, texts } from './islands.ts'

const busy = new AtollError('ATOLL_OVERLOADED', 'busy')

async function withBlock(options: IslandsOptions = {}) {
  const setting = await islands(options)
  const id = keyOn(setting, ['n5', 'n1', 'n2'], 'once')
  const write = () => setting.coordinator.put(id, { value: utf8('block') }, { w: 'all', dw: 'all' })
  return { ...setting, id, write }
}

test('a write goes to all at once, with no replica to coordinate, and needs no context', async () => {
  const { world, replicas, write } = await withBlock()
  await world.run(async () => {
    expect(await write()).toEqual({ accepted: 3, durable: 3, primaries: 3, context: undefined, alone: false })
    expect(world.nowMs).toBe(1)
    expect(replicas.calls.map(({ operation }) => operation)).toEqual(['put', 'put', 'put'])
  })
})

test('a write that is tried again under its name is the same record, and others are not', async () => {
  const setting = await withBlock()
  const { world, coordinator, replicas, id } = setting
  await world.run(async () => {
    const writeId = new Uint8Array(16).fill(7)
    const all = { w: 'all', dw: 'all' } as const
    const stored = async (key: string, write: object) => {
      const block = { ...id, key: utf8(key) }
      await coordinator.put(block, { value: utf8('block'), ...write }, all)
      return replicas.recordsOf(block).map(({ siblings }) => siblings.map((each) => each.writeId))
    }
    const named = [[writeId], [writeId], [writeId]]
    expect(await stored('a', { writeId })).toEqual(named)
    expect(await stored('a', { writeId })).toEqual(named)
    expect(await stored('b', {})).not.toEqual(await stored('c', {}))
    const other = keyOn(setting, ['n5', 'n1', 'n2'])
    const refused = await failure(coordinator.put(other, { value: utf8('v'), writeId }, all))
    expect(refused).toBeInstanceOf(TypeError)
    const short = await failure(coordinator.put(id, { value: utf8('v'), writeId: new Uint8Array(15) }, all))
    expect(short).toBeInstanceOf(RangeError)
  })
})

test('a read asks the nearest replica alone', async () => {
  const { world, coordinator, replicas, id, write } = await withBlock()
  await world.run(async () => {
    await write()
    expect(texts(await coordinator.get(id))).toEqual(['block'])
    expect(replicas.calls.slice(3)).toMatchObject([{ operation: 'get', node: 'n1' }])
  })
})

test('without a local replica the quickest one is asked, once it is known', async () => {
  const { world, replicas, at, runtime, id, write } = await withBlock()
  await world.run(async () => {
    await write()
    const far = at('n4')
    await far.open()
    replicas.delayMs = (node) => ({ n5: 40, n1: 30, n2: 5 })[node] ?? 1
    for (let turn = 0; turn < 6; turn++) await far.get(id)
    const asked = () => replicas.calls.filter(({ operation }) => operation === 'get').map(({ node }) => node)
    expect(asked()).toEqual(['n5', 'n1', 'n2', 'n2', 'n2', 'n2'])
    replicas.delayMs = (node) => (node === 'n2' ? 5000 : 1)
    for (let turn = 0; turn < 20; turn++) await far.get(id)
    expect(asked().slice(-5)).toEqual(['n1', 'n1', 'n1', 'n1', 'n1'])
    // After a minute of quiet all are tried again.
    await runtime.clock.sleep(61_000)
    replicas.delayMs = () => 1
    for (let turn = 0; turn < 3; turn++) await far.get(id)
    expect(new Set(asked().slice(-3))).toEqual(new Set(['n5', 'n1', 'n2']))
  })
})

test('a slow replica is hedged after its usual time, and the loser is told to stop', async () => {
  const { world, coordinator, replicas, runtime, id, write } = await withBlock()
  await world.run(async () => {
    await write()
    for (let turn = 0; turn < 30; turn++) await coordinator.get(id)
    expect(runtime.metrics.value('atoll_coordinator_hedges_total')).toBe(0)
    replicas.delayMs = (node) => (node === 'n1' ? 5000 : 1)
    const startMs = world.nowMs
    expect(texts(await coordinator.get(id))).toEqual(['block'])
    expect(world.nowMs - startMs).toBeLessThan(5)
    expect(runtime.metrics.value('atoll_coordinator_hedges_total')).toBe(1)
    await coordinator.idle()
    expect(world.nowMs - startMs).toBeLessThan(5)
  })
})

test('a process that stood still hears what came meanwhile before it asks another replica', async () => {
  let stillMs = 0
  const clockOf: IslandsOptions['clockOf'] = (clock) => ({
    monotonicMs: () => clock.monotonicMs(),
    wallMs: () => clock.wallMs(),
    sleep: (delayMs, options) => clock.sleep(delayMs, options),
    timer: (delayMs, fire) => clock.timer(Math.max(delayMs, stillMs), fire),
  })
  const { world, coordinator, replicas, runtime, id, write } = await withBlock({ clockOf })
  await world.run(async () => {
    await write()
    for (let turn = 0; turn < 30; turn++) await coordinator.get(id)
    stillMs = 20
    replicas.delayMs = (node) => (node === 'n1' ? 21 : 1)
    const reading = coordinator.get(id)
    stillMs = 0
    expect(texts(await reading)).toEqual(['block'])
    expect(runtime.metrics.value('atoll_coordinator_hedges_total')).toBe(0)
    stillMs = 20
    replicas.delayMs = (node) => (node === 'n1' ? 5000 : 1)
    const startMs = world.nowMs
    const slow = coordinator.get(id)
    stillMs = 0
    expect(texts(await slow)).toEqual(['block'])
    expect(runtime.metrics.value('atoll_coordinator_hedges_total')).toBe(1)
    expect(world.nowMs - startMs).toBeLessThan(40)
    await coordinator.idle()
  })
})

test('who has none or a bad copy is healed from the others', async () => {
  const { world, coordinator, replicas, primaries, id, write } = await withBlock()
  await world.run(async () => {
    await write()
    const [n5, n1, n2] = primaries(id)
    if (!n5 || !n1 || !n2) throw new Error('three primaries')
    replicas.corrupt(n1, id)
    replicas.forget(n5, id)
    replicas.delayMs = (node) => (node === 'n2' ? 10 : 1)
    expect(texts(await coordinator.get(id))).toEqual(['block'])
    await coordinator.idle()
    expect(replicas.peek(n5, id)).toEqual(replicas.peek(n2, id))
    expect(await replicas.get(n1, id, { timeoutMs: 100 })).toMatchObject({ corrupt: false })
  })
})

test('a client writes without a look, and a repair merges', async () => {
  const { world, coordinator, replicas, primaries, id, write } = await withBlock()
  await world.run(async () => {
    const fresh: unknown[] = []
    const put = replicas.put.bind(replicas)
    replicas.put = (target, key, record, options) => {
      fresh.push('isFresh' in options && options.isFresh)
      return put(target, key, record, options)
    }
    await write()
    await coordinator.idle()
    expect(fresh).toEqual([true, true, true])
    const [first] = primaries(id)
    if (first) replicas.forget(first, id)
    await coordinator.get(id, { repair: true })
    expect(fresh.slice(3)).toEqual([false])
  })
})

test('a value that the reader refuses counts as corrupt', async () => {
  const { world, coordinator, replicas, primaries, id, write } = await withBlock()
  const accept = ({ value }: { value: Uint8Array }) => equalBytes(value, utf8('block'))
  await world.run(async () => {
    await write()
    const [, n1] = primaries(id)
    const content = {
      value: utf8('wrong'),
      metadata: new Map(),
      tombstone: false,
      expiresAtMs: undefined,
      indexes: [],
    }
    if (n1) replicas.store(n1, id, writeOnceRecord(content, 0xffff_ffff, new Uint8Array(16)))
    expect(texts(await coordinator.get(id, { accept }))).toEqual(['block'])
    await coordinator.idle()
    expect(texts(await coordinator.get(id))).toEqual(['block'])
    const error = await failure(coordinator.get(id, { accept: () => false }))
    expect(error).toMatchObject({ code: 'ATOLL_CORRUPT', details: { corrupt: 3, found: 0 } })
    const broken = () => {
      throw new Error('cannot tell')
    }
    expect(await failure(coordinator.get(id, { accept: broken }))).toMatchObject({ message: 'cannot tell' })
    await coordinator.idle()
  })
})

test('absent only when all have none', async () => {
  const { world, coordinator, replicas, id, write, primaries } = await withBlock()
  await world.run(async () => {
    expect(texts(await coordinator.get(id))).toEqual([])
    await write()
    for (const target of primaries(id).slice(0, 2)) replicas.forget(target, id)
    replicas.delayMs = (node) => (node === 'n2' ? 400 : 1)
    expect(texts(await coordinator.get(id))).toEqual(['block'])
  })
})

test('where primaries are down, nodes further up the list are asked too', async () => {
  const setting = await islands({ nodes: 7 })
  const { world, coordinator, replicas, down } = setting
  const id = keyOn(setting, ['n2', 'n3', 'n4'], 'once')
  await world.run(async () => {
    for (const node of ['n2', 'n3', 'n4', 'n5']) down.add(node)
    await coordinator.put(id, { value: utf8('block') })
    await coordinator.idle()
    // The first fallback is back, and nothing was handed to it.
    down.delete('n5')
    for (const name of replicas.holders(id)) {
      const [node = '', partition] = name.split('/')
      if (node !== 'n1') replicas.forget({ node, partition: Number(partition) }, id)
    }
    expect(texts(await coordinator.get(id))).toEqual(['block'])
  })
})

test('failures among the replicas leave it open whether the key is absent', async () => {
  const { world, coordinator, replicas, id } = await withBlock()
  await world.run(async () => {
    replicas.fault = (node) => (node === 'n1' || node === 'n2' ? { kind: 'before', error: busy } : undefined)
    const error = await failure(coordinator.get(id))
    expect(error).toMatchObject({ code: 'ATOLL_QUORUM_UNMET', definite: true, details: { failed: 2 } })
  })
})

test('silence ends in ATOLL_TIMEOUT at the deadline, and an abort at once', async () => {
  const { world, coordinator, replicas, runtime, id } = await withBlock()
  await world.run(async () => {
    replicas.fault = () => ({ kind: 'hang' })
    expect(await failure(coordinator.get(id, { timeoutMs: 400 }))).toMatchObject({ code: 'ATOLL_TIMEOUT' })
    expect(world.nowMs).toBe(400)
    const controller = new AbortController()
    const reading = failure(coordinator.get(id, { signal: controller.signal }))
    await runtime.clock.sleep(1)
    controller.abort()
    const { length } = replicas.calls
    expect(await reading).toMatchObject({ code: 'ATOLL_ABORTED' })
    await coordinator.idle()
    expect(world.nowMs).toBe(401)
    expect(replicas.calls).toHaveLength(length)
  })
})

test('a deletion wins over the value on every replica that it has not reached', async () => {
  const { world, coordinator, replicas, id, write } = await withBlock()
  await world.run(async () => {
    await write()
    replicas.fault = (node) => (node === 'n5' ? { kind: 'before', error: busy } : undefined)
    expect(await coordinator.delete(id)).toMatchObject({ durable: 2 })
    expect(texts(await coordinator.get(id))).toEqual([])
  })
})

test('a repairing read answers when every replica has the block', async () => {
  const { world, coordinator, replicas, primaries, id, write } = await withBlock()
  await world.run(async () => {
    await write()
    const [first, second, third] = primaries(id)
    if (!first || !second || !third) throw new Error('three primaries')
    replicas.forget(second, id)
    replicas.corrupt(third, id)
    replicas.delayMs = (_, operation) => (operation === 'put' ? 30 : 1)
    expect(texts(await coordinator.get(id, { repair: true }))).toEqual(['block'])
    for (const target of [second, third]) expect(replicas.peek(target, id)).toEqual(replicas.peek(first, id))
  })
})

test('a repairing read is not held up for ever by a replica that takes no repair', async () => {
  const { world, coordinator, replicas, primaries, id, write } = await withBlock()
  await world.run(async () => {
    await write()
    const [, second] = primaries(id)
    if (!second) throw new Error('three primaries')
    replicas.forget(second, id)
    replicas.fault = (_, operation) => (operation === 'put' ? { kind: 'before', error: busy } : undefined)
    expect(texts(await coordinator.get(id, { repair: true }))).toEqual(['block'])
  })
})
