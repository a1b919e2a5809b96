import { getEventListeners } from 'node:events'
import { AtollError, EMPTY_BYTES, utf8 } from '@atoll/core'
import { expect, test } from 'vitest'
import { failure, islands, keyId, keyOn, texts } from './islands.ts'

const refuse = new AtollError('ATOLL_OVERLOADED', 'busy')

test('a value comes back with its metadata and a context that replaces it', async () => {
  const { world, coordinator } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    const metadata = new Map([['colour', 'blue']])
    await coordinator.put(id, { value: utf8('one'), metadata })
    const read = await coordinator.get(id)
    expect(texts(read)).toEqual(['one'])
    expect(read.values[0]?.metadata).toEqual(metadata)
    const written = await coordinator.put(id, { value: utf8('two'), context: read.context })
    expect(written).toMatchObject({ accepted: 2, durable: 2, primaries: 2 })
    expect(texts(await coordinator.get(id))).toEqual(['two'])
  })
})

test('a key that was never written has no values and no context', async () => {
  const { world, coordinator } = await islands()
  const read = await world.run(() => coordinator.get(keyId('nothing')))
  expect(read).toEqual({ values: [], context: undefined })
})

test('blind writes stand beside each other until a write with their context', async () => {
  const { world, coordinator } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    await coordinator.put(id, { value: utf8('one') })
    await coordinator.put(id, { value: utf8('two') })
    const read = await coordinator.get(id)
    expect(texts(read).sort()).toEqual(['one', 'two'])
    await coordinator.put(id, { value: utf8('three'), context: read.context })
    expect(texts(await coordinator.get(id))).toEqual(['three'])
  })
})

test('absent waits for every reachable primary: a late one knows better', async () => {
  const { world, coordinator, replicas, primaries } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    await coordinator.put(id, { value: utf8('one') }, { w: 'all', dw: 'all' })
    const [first, second, third] = primaries(id)
    for (const target of [first, second]) if (target) replicas.forget(target, id)
    replicas.delayMs = (node) => (node === third?.node ? 40 : 1)
    expect(texts(await coordinator.get(id))).toEqual(['one'])
  })
})

test('read repair gives every primary that is behind what it lacks, a late one too', async () => {
  const { world, coordinator, replicas, primaries, runtime } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    await coordinator.put(id, { value: utf8('one') }, { dw: 'all' })
    const [first, second, third] = primaries(id)
    if (!first || !second || !third) throw new Error('three primaries')
    const old = replicas.peek(first, id)
    const read = await coordinator.get(id)
    await coordinator.put(id, { value: utf8('two'), context: read.context }, { dw: 'all' })
    if (old) replicas.store(first, id, old)
    replicas.corrupt(second, id)
    replicas.delayMs = (node) => (node === third.node ? 50 : 1)
    // The first answer alone would do; the better one comes later, and repairs.
    expect(texts(await coordinator.get(id, { r: 1 }))).toEqual(['one'])
    await coordinator.idle()
    for (const target of [first, second]) expect(replicas.peek(target, id)).toEqual(replicas.peek(third, id))
    expect(runtime.metrics.value('atoll_coordinator_repairs_total')).toBe(2)
  })
})

test('what fifty readers find lacking is given once', async () => {
  const { world, coordinator, replicas, primaries, runtime } = await islands()
  await world.run(async () => {
    for (const [type, repair] of [
      ['default', false],
      ['default', true],
      ['once', true],
    ] as const) {
      const id = keyId(`${repair}`, type)
      await coordinator.put(id, { value: utf8('one') }, { dw: 'all' })
      const [first] = primaries(id)
      if (first) replicas.forget(first, id)
      const puts = replicas.count('put')
      await Promise.all(Array.from({ length: 50 }, () => coordinator.get(id, { repair })))
      await coordinator.idle()
      expect(replicas.count('put') - puts).toBe(1)
      if (first) expect(replicas.peek(first, id)).toBeDefined()
    }
    expect(runtime.metrics.value('atoll_coordinator_repairs_total')).toBe(3)
    expect(runtime.metrics.value('atoll_coordinator_repairs_skipped_total')).toBe(0)
  })
})

test('fallbacks are not filled by reads', async () => {
  const { world, coordinator, replicas, primaries, down } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    await coordinator.put(id, { value: utf8('one') }, { dw: 'all' })
    const [first] = primaries(id)
    down.add(first?.node ?? '')
    expect(texts(await coordinator.get(id))).toEqual(['one'])
    await coordinator.idle()
    expect(replicas.holders(id)).toHaveLength(3)
  })
})

test('repairs past the limit are skipped and counted', async () => {
  const { world, coordinator, replicas, primaries, runtime } = await islands({ options: { maxRepairs: 1 } })
  await world.run(async () => {
    const id = keyId('a')
    await coordinator.put(id, { value: utf8('one') }, { dw: 'all' })
    const [first, second] = primaries(id)
    for (const target of [first, second]) if (target) replicas.forget(target, id)
    await coordinator.get(id)
    await coordinator.idle()
    expect(runtime.metrics.value('atoll_coordinator_repairs_total')).toBe(1)
    expect(runtime.metrics.value('atoll_coordinator_repairs_skipped_total')).toBe(1)
  })
})

test('a repair that fails is counted, and idle comes all the same', async () => {
  const { world, coordinator, replicas, primaries, runtime } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    await coordinator.put(id, { value: utf8('one') }, { dw: 'all' })
    const [first] = primaries(id)
    if (first) replicas.forget(first, id)
    replicas.fault = (_, operation) => (operation === 'put' ? { kind: 'before', error: refuse } : undefined)
    await coordinator.get(id)
    await coordinator.idle()
    expect(runtime.metrics.value('atoll_coordinator_repair_failures_total')).toBe(1)
  })
})

test('a read fails as soon as r cannot be met, with the counts', async () => {
  const { world, coordinator, replicas, primaries, runtime } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    const [first, second, third] = primaries(id)
    replicas.fault = (node) => (node === first?.node ? { kind: 'before', error: refuse } : undefined)
    if (second) replicas.corrupt(second, id)
    replicas.delayMs = (node) => (node === third?.node ? 500 : 1)
    const error = await failure(coordinator.get(id))
    expect(error).toMatchObject({
      code: 'ATOLL_QUORUM_UNMET',
      definite: true,
      details: { found: 0, missing: 0, corrupt: 1, failed: 1, waiting: 1, needed: { n: 3, r: 2, pr: 0 } },
    })
    expect(world.nowMs).toBe(1)
    expect(runtime.metrics.value('atoll_coordinator_unmet_total', { kind: 'read' })).toBe(1)
  })
})

test('silence ends in ATOLL_TIMEOUT at the deadline', async () => {
  const { world, coordinator, replicas } = await islands()
  await world.run(async () => {
    replicas.fault = () => ({ kind: 'hang' })
    const error = await failure(coordinator.get(keyId('a'), { timeoutMs: 250 }))
    expect(error).toMatchObject({ code: 'ATOLL_TIMEOUT', definite: true })
    expect(world.nowMs).toBe(250)
  })
})

test('too few replicas up is said before anything is asked', async () => {
  const { world, coordinator, replicas, primaries, down } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    for (const { node } of primaries(id).slice(0, 2)) down.add(node)
    const strict = await failure(coordinator.get(id, { sloppy: false }))
    expect(strict).toMatchObject({
      code: 'ATOLL_QUORUM_IMPOSSIBLE',
      definite: true,
      details: { n: 3, reachable: 1, primaries: 1, r: 2, pr: 0 },
    })
    expect(await failure(coordinator.get(id, { pr: 2 }))).toMatchObject({ code: 'ATOLL_QUORUM_IMPOSSIBLE' })
    expect(replicas.calls).toEqual([])
    expect(await coordinator.get(id, { absence: 'any' })).toMatchObject({ values: [] })
  })
})

test('a sloppy write is found by a sloppy read on the same fallbacks', async () => {
  const { world, coordinator, primaries, down } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    for (const { node } of primaries(id).slice(0, 2)) down.add(node)
    const written = await coordinator.put(id, { value: utf8('one') })
    expect(written).toMatchObject({ durable: 2 })
    expect(texts(await coordinator.get(id))).toEqual(['one'])
  })
})

test('an abort is answered at once, and is no unmet quorum', async () => {
  const { world, coordinator, runtime } = await islands()
  await world.run(async () => {
    const controller = new AbortController()
    const reading = failure(coordinator.get(keyId('a'), { signal: controller.signal }))
    await runtime.clock.sleep(0.5)
    expect(getEventListeners(controller.signal, 'abort'), 'more than ten make Node warn').toHaveLength(1)
    controller.abort('enough')
    expect(await reading).toMatchObject({ code: 'ATOLL_ABORTED', definite: true, cause: 'enough' })
    expect(world.nowMs).toBe(0.5)
    expect(await failure(coordinator.get(keyId('a'), { signal: controller.signal }))).toMatchObject({
      code: 'ATOLL_ABORTED',
    })
    await coordinator.idle()
    expect(runtime.metrics.value('atoll_coordinator_unmet_total', { kind: 'read' })).toBe(0)
  })
})

test('a cluster smaller than n has one replica on each node, and quorums of what it has', async () => {
  const { world, coordinator, replicas } = await islands({ nodes: 2 })
  await world.run(async () => {
    const id = keyId('a')
    const written = await coordinator.put(id, { value: utf8('one') }, { w: 'all', dw: 'all' })
    expect(written.durable).toBe(2)
    expect(replicas.holders(id)).toHaveLength(2)
    // The type's n allows it; the cluster will, when it has grown.
    for (const call of [
      coordinator.get(id, { r: 3 }),
      coordinator.put(id, { value: utf8('two') }, { dw: 3 }),
    ])
      expect(await failure(call)).toMatchObject({ code: 'ATOLL_QUORUM_IMPOSSIBLE', transient: true })
    expect(await failure(coordinator.get(id, { r: 4 }))).toBeInstanceOf(RangeError)
  })
})

test('a single node serves alone', async () => {
  const { world, coordinator } = await islands({ nodes: 1 })
  await world.run(async () => {
    await coordinator.put(keyId('a'), { value: utf8('one') })
    expect(texts(await coordinator.get(keyId('a')))).toEqual(['one'])
  })
})

test('a merge function stands for siblings; where it throws they are shown, and it is counted', async () => {
  const { world, coordinator, types, runtime } = await islands()
  const longest = (values: readonly { value: Uint8Array }[]) =>
    values.reduce((best, { value }) => (value.length > best.length ? value : best), EMPTY_BYTES)
  types.set('longest', { policy: { kind: 'merge', name: 'longest', merge: longest } })
  await world.run(async () => {
    const id = keyId('a', 'longest')
    await coordinator.put(id, { value: utf8('three') })
    await coordinator.put(id, { value: utf8('one') })
    expect(texts(await coordinator.get(id))).toEqual(['three'])
    const broken = () => {
      throw new Error('cannot merge')
    }
    types.set('longest', { policy: { kind: 'merge', name: 'longest', merge: broken } })
    expect(texts(await coordinator.get(id)).sort()).toEqual(['one', 'three'])
    expect(runtime.metrics.value('atoll_port_failures_total', { port: 'merge' })).toBe(1)
  })
})

test('an expired value counts as absent', async () => {
  const { world, coordinator, runtime } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    await coordinator.put(id, { value: utf8('one'), expiresAtMs: runtime.clock.wallMs() + 1000 })
    expect(texts(await coordinator.get(id))).toEqual(['one'])
    await runtime.clock.sleep(1001)
    expect(texts(await coordinator.get(id))).toEqual([])
  })
})

test('last write wins whatever the order of arrival', async () => {
  const { world, coordinator, at, runtime } = await islands()
  await world.run(async () => {
    const id = keyId('a', 'lww')
    const other = at('n4')
    await other.open()
    await Promise.all([
      coordinator.put(id, { value: utf8('first') }),
      runtime.clock.sleep(0.5).then(() => other.put(id, { value: utf8('second') })),
    ])
    expect(texts(await coordinator.get(id))).toHaveLength(1)
    await coordinator.idle()
    expect(texts(await other.get(id))).toEqual(texts(await coordinator.get(id)))
  })
})

test('wrong arguments are refused by name, and nothing is asked', async () => {
  const { coordinator, replicas } = await islands()
  const id = keyId('a')
  await expect(coordinator.get(keyId('a', 'unknown'))).rejects.toThrow(
    'type must be a bucket type that exists, got "unknown"',
  )
  await expect(coordinator.get({ ...id, key: new Uint8Array(0) })).rejects.toThrow(/key must have 1 to 4096/)
  await expect(coordinator.get(id, { r: 4 })).rejects.toThrow(/r is 4, n is 3/)
  await expect(coordinator.get(id, { n: 4 })).rejects.toThrow(/n must be an integer from 1 to 3, got 4/)
  await expect(coordinator.get(id, { timeoutMs: 0 })).rejects.toThrow(/timeoutMs/)
  await expect(coordinator.get(id, { accept: () => true })).rejects.toThrow(TypeError)
  const misspelt = { r: 2, quorum: 2 }
  await expect(coordinator.get(id, misspelt)).rejects.toThrow(/no option "quorum"/)
  expect(replicas.calls).toEqual([])
})

test('a coordinator that is not open serves nothing, and closing waits for the background', async () => {
  const { world, coordinator, replicas, at } = await islands()
  await world.run(async () => {
    await expect(at('n2').get(keyId('a'))).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
    const id = keyId('a')
    replicas.delayMs = (node) => (node === 'n1' ? 1 : 30)
    await coordinator.put(id, { value: utf8('one') }, { w: 1, dw: 1 })
    expect(replicas.holders(id)).toHaveLength(1)
    await coordinator.close()
    expect(replicas.holders(id)).toHaveLength(3)
    await expect(coordinator.get(id)).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
  })
})

test('calls past the limit are refused', async () => {
  const { world, coordinator } = await islands({ options: { maxRequests: 2 } })
  await world.run(async () => {
    const calls = [1, 2].map(() => coordinator.get(keyId('a')))
    await expect(coordinator.get(keyId('a'))).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED' })
    await Promise.all(calls)
    await coordinator.idle()
    await coordinator.get(keyId('a'))
  })
})

test('a key of a slice is read by n that the request asks for', async () => {
  const setting = await islands()
  const { world, coordinator, replicas } = setting
  await world.run(async () => {
    await coordinator.get(keyOn(setting, ['n2', 'n3', 'n4']), { n: 2 })
    expect(replicas.calls.map(({ node }) => node)).toEqual(['n2', 'n3'])
  })
})

test('a repairing read answers when every primary has the record', async () => {
  const { world, coordinator, replicas, primaries } = await islands()
  await world.run(async () => {
    const id = keyId('a')
    await coordinator.put(id, { value: utf8('one') }, { dw: 'all' })
    const [first, second, third] = primaries(id)
    if (!first || !second || !third) throw new Error('three primaries')
    replicas.forget(first, id)
    replicas.forget(second, id)
    replicas.delayMs = (node) => (node === third.node ? 50 : 1)
    expect(texts(await coordinator.get(id, { repair: true }))).toEqual(['one'])
    for (const target of [first, second]) expect(replicas.peek(target, id)).toEqual(replicas.peek(third, id))
  })
})
