import { getEventListeners } from 'node:events'
import { AtollError, fromUtf8, utf8 } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { expect, test } from 'vitest'
import type { Coordinator, KvScan, KvScanPage } from '../src/index.ts'
import { failure, type Islands, islands, keyId, PARTITIONS } from './islands.ts'

const SCAN: KvScan = { type: 'default', index: 'list', scope: utf8('s') }
const nameOf = (number: number) => `k${String(number).padStart(4, '0')}`

async function fill({ coordinator }: Islands, count: number): Promise<string[]> {
  const names = Array.from({ length: count }, (_, number) => nameOf(number))
  await Promise.all(names.map((name) => write(coordinator, name)))
  await coordinator.idle()
  return names
}

function write(coordinator: Coordinator, name: string, term = name) {
  const indexes = [{ index: 'list', scope: utf8('s'), term: utf8(term), payload: utf8(`of ${name}`) }]
  return coordinator.put(keyId(name), { value: utf8(name), indexes })
}

const termsOf = (page: KvScanPage) => page.entries.map(({ term }) => fromUtf8(term))

async function pages(coordinator: Coordinator, scan: KvScan): Promise<string[][]> {
  const found: string[][] = []
  let after: Uint8Array | undefined
  do {
    const page: KvScanPage = await coordinator.scan({ ...scan, after })
    found.push(termsOf(page))
    after = page.next
  } while (after !== undefined)
  return found
}

test('pages are in order, without gaps or repeats, and any node goes on with them', async () => {
  const setting = await islands()
  const { world, coordinator, at } = setting
  await world.run(async () => {
    const names = await fill(setting, 100)
    const found = await pages(coordinator, { ...SCAN, limit: 30 })
    expect(found.map(({ length }) => length)).toEqual([30, 30, 30, 10])
    expect(found.flat()).toEqual(names)
    const other = at('n4')
    await other.open()
    const first = await coordinator.scan({ ...SCAN, limit: 10 })
    const second = await other.scan({ ...SCAN, limit: 10, after: first.next })
    expect(termsOf(second)).toEqual(names.slice(10, 20))
    expect(fromUtf8(second.entries[0]?.payloads[0] ?? utf8(''))).toBe('of k0010')
  })
})

test('a scan keeps to its range, its index and its scope', async () => {
  const setting = await islands()
  const { world, coordinator } = setting
  await world.run(async () => {
    await fill(setting, 30)
    const part = await coordinator.scan({ ...SCAN, from: utf8('k0010'), to: utf8('k0013') })
    expect(termsOf(part)).toEqual(['k0010', 'k0011', 'k0012'])
    expect(part.next).toBeUndefined()
    expect(termsOf(await coordinator.scan({ ...SCAN, index: 'other' }))).toEqual([])
    expect(termsOf(await coordinator.scan({ ...SCAN, scope: utf8('t') }))).toEqual([])
  })
})

test.each([1, 10, 100])('one page of %i costs the page, whatever else there is', async (limit) => {
  const setting = await islands()
  const { world, coordinator, replicas } = setting
  await world.run(async () => {
    await fill(setting, 500)
    const readsBefore = replicas.count('get')
    await coordinator.scan({ ...SCAN, limit })
    expect(replicas.entriesFetched).toBeLessThanOrEqual(2 * limit * 1.5 + 5 * 17)
    expect(replicas.count('get')).toBe(readsBefore)
    expect(replicas.count('scan')).toBeLessThanOrEqual(8)
  })
})

test('an acknowledged write is listed at once, though a replica lacks it, and reading repairs that', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, primaries, runtime } = setting
  await world.run(async () => {
    const names = await fill(setting, 20)
    for (const name of names) {
      const [, second] = primaries(keyId(name))
      if (second) replicas.forget(second, keyId(name))
    }
    expect((await pages(coordinator, { ...SCAN, limit: 7 })).flat()).toEqual(names)
    await coordinator.idle()
    expect(runtime.metrics.value('atoll_coordinator_repairs_total')).toBeGreaterThan(0)
    const reads = replicas.count('get')
    expect((await pages(coordinator, SCAN)).flat()).toEqual(names)
    expect(replicas.count('get')).toBe(reads)
  })
})

test('a node that leaves while a scan reads a key fails the scan, and closes', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, primaries, leave } = setting
  await world.run(async () => {
    for (const name of await fill(setting, 20)) {
      const [, second] = primaries(keyId(name))
      if (second) replicas.forget(second, keyId(name))
    }
    const before = replicas.count('scan')
    const page = failure(coordinator.scan(SCAN))
    while (replicas.count('scan') === before) await undefined
    const left = new AtollError('ATOLL_CLOSED', 'n1 has left')
    leave(left)
    expect(await page).toBe(left)
    await coordinator.close()
  })
})

test('what a stale replica lists is not listed: the key decides', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, primaries } = setting
  await world.run(async () => {
    await fill(setting, 10)
    const moved = keyId('k0003')
    const gone = keyId('k0005')
    const stale = [moved, gone].map((id) => {
      const [target] = primaries(id)
      if (!target) throw new Error('a primary')
      return { id, target, record: replicas.peek(target, id) }
    })
    const { context } = await coordinator.get(moved)
    const indexes = [{ index: 'list', scope: utf8('s'), term: utf8('k9'), payload: utf8('moved') }]
    await coordinator.put(moved, { value: utf8('k0003'), indexes, context })
    await coordinator.delete(gone)
    await coordinator.idle()
    for (const { id, target, record } of stale) if (record) replicas.store(target, id, record)
    const expected = [0, 1, 2, 4, 6, 7, 8, 9].map(nameOf).concat('k9')
    expect((await pages(coordinator, { ...SCAN, limit: 4 })).flat()).toEqual(expected)
  })
})

test('where replicas list the same place with different payloads, the newer one is answered', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, primaries } = setting
  await world.run(async () => {
    await fill(setting, 3)
    const id = keyId('k0001')
    const stale = primaries(id).map((target) => ({ target, record: replicas.peek(target, id) }))
    const { context } = await coordinator.get(id)
    const indexes = [{ index: 'list', scope: utf8('s'), term: utf8('k0001'), payload: utf8('new') }]
    await coordinator.put(id, { value: utf8('two'), indexes, context })
    await coordinator.idle()
    for (const { target, record } of stale.slice(0, 1)) if (record) replicas.store(target, id, record)
    const { entries } = await coordinator.scan(SCAN, { r: 3 })
    expect(entries.map(({ payloads }) => payloads.map(fromUtf8))).toEqual([
      ['of k0000'],
      ['new'],
      ['of k0002'],
    ])
  })
})

test('a node that fails in the middle is replaced, and nothing is lost or repeated', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, runtime } = setting
  await world.run(async () => {
    const names = await fill(setting, 400)
    let calls = 0
    replicas.fault = (node, operation) => {
      if (operation === 'scan') calls += 1
      return node === 'n2' && operation === 'scan' && calls > 4 ? { kind: 'unreachable' } : undefined
    }
    const found: string[] = []
    let after: Uint8Array | undefined
    do {
      const page: KvScanPage = await coordinator.scan({ ...SCAN, limit: 300, after })
      found.push(...termsOf(page))
      after = page.next
    } while (after !== undefined)
    expect(found).toEqual(names)
    expect(world.marks.get('coordinator.scan_replanned')).toBeGreaterThan(0)
    expect(runtime.metrics.value('atoll_coordinator_unmet_total', { kind: 'scan' })).toBe(0)
  })
})

test('nodes that hang are replaced after attemptTimeoutMs', async () => {
  const setting = await islands({ options: { attemptTimeoutMs: 100 } })
  const { world, coordinator, replicas } = setting
  await world.run(async () => {
    const names = await fill(setting, 50)
    const startMs = world.nowMs
    replicas.fault = (node, operation) =>
      node === 'n3' && operation === 'scan' ? { kind: 'hang' } : undefined
    expect(termsOf(await coordinator.scan(SCAN))).toEqual(names)
    expect(world.nowMs - startMs).toBeLessThan(150)
  })
})

test('with primaries down their fallbacks answer for what was written meanwhile', async () => {
  const setting = await islands()
  const { world, coordinator, down } = setting
  await world.run(async () => {
    const names = await fill(setting, 20)
    down.add('n2').add('n3')
    await write(coordinator, 'k5000')
    const { entries } = await coordinator.scan(SCAN, { r: 2, absence: 'any' })
    expect(entries.map(({ term }) => fromUtf8(term))).toEqual([...names, 'k5000'])
  })
})

test('a slice without any primary cannot be scanned', async () => {
  const setting = await islands()
  const { world, coordinator, down, replicas } = setting
  await world.run(async () => {
    down.add('n2').add('n3').add('n4')
    const error = await failure(coordinator.scan(SCAN, { absence: 'any' }))
    expect(error).toMatchObject({
      code: 'ATOLL_QUORUM_IMPOSSIBLE',
      definite: true,
      details: { primaries: 0, r: 2 },
    })
    expect(replicas.calls).toEqual([])
    down.clear()
    const dying = new Set(['n2', 'n3', 'n4'])
    const busy = new AtollError('ATOLL_OVERLOADED', 'busy')
    replicas.fault = (node) => (dying.has(node) ? { kind: 'before', error: busy } : undefined)
    expect(await failure(coordinator.scan(SCAN))).toMatchObject({ code: 'ATOLL_QUORUM_UNMET', cause: busy })
  })
})

test('time and patience end', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, runtime } = setting
  await world.run(async () => {
    replicas.fault = () => ({ kind: 'hang' })
    expect(await failure(coordinator.scan(SCAN, { timeoutMs: 50 }))).toMatchObject({ code: 'ATOLL_TIMEOUT' })
    expect(world.nowMs).toBe(50)
    const controller = new AbortController()
    const scanning = failure(coordinator.scan(SCAN, { signal: controller.signal }))
    await runtime.clock.sleep(1)
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1)
    controller.abort()
    expect(await scanning).toMatchObject({ code: 'ATOLL_ABORTED', definite: true })
    await coordinator.idle()
  })
})

test.each([
  ['reads a key', 'get'],
  ['searches a group', 'scan'],
] as const)('a scan that %s when its time is nearly over asks no longer than that', async (_, last) => {
  const setting = await islands({ options: { attemptTimeoutMs: 5000 } })
  const { world, coordinator, replicas, primaries } = setting
  await world.run(async () => {
    await write(coordinator, 'a/1')
    await write(coordinator, 'a/2')
    await coordinator.idle()
    const [stale] = primaries(keyId('a/1')).map((target) => ({
      target,
      record: replicas.peek(target, keyId('a/1')),
    }))
    await coordinator.delete(keyId('a/1'))
    await coordinator.idle()
    if (stale?.record === undefined) throw new Error('a replica that has it')
    replicas.store(stale.target, keyId('a/1'), stale.record)
    const asked: string[] = []
    replicas.delayMs = () => 200
    replicas.fault = (_node, operation) => {
      asked.push(operation)
      // The first scan shows the key that is gone, a read says that it is, and then the group is searched.
      const isLast = operation === last && (last === 'get' || asked.includes('get'))
      return isLast ? { kind: 'hang' } : undefined
    }
    const startMs = world.nowMs
    const groups = { prefix: utf8(''), delimiter: utf8('/') }
    const scanning = coordinator.scan({ ...SCAN, groups }, { r: 3, timeoutMs: 1000 })
    expect(await failure(scanning)).toMatchObject({ code: 'ATOLL_TIMEOUT' })
    expect(world.nowMs - startMs).toBe(1000)
    expect(asked.at(-1)).toBe(last)
    await coordinator.idle()
    expect(world.nowMs - startMs).toBe(1000)
  })
})

test('an empty cluster has one empty page', async () => {
  const { world, coordinator } = await islands({ nodes: 1 })
  expect(await world.run(() => coordinator.scan(SCAN))).toEqual({ entries: [], next: undefined })
})

test('keys of one term are told apart by bucket and key', async () => {
  const setting = await islands()
  const { world, coordinator } = setting
  await world.run(async () => {
    for (const name of ['a', 'b', 'c']) await write(coordinator, name, 'same')
    await coordinator.idle()
    const first = await coordinator.scan({ ...SCAN, limit: 2 })
    const second = await coordinator.scan({ ...SCAN, limit: 2, after: first.next })
    expect([...first.entries, ...second.entries].map(({ key }) => fromUtf8(key))).toEqual(['a', 'b', 'c'])
  })
})

test('wrong arguments are refused by name', async () => {
  const { coordinator } = await islands()
  await expect(coordinator.scan({ ...SCAN, limit: 0 })).rejects.toThrow(
    /limit must be an integer from 1 to 10000/,
  )
  await expect(coordinator.scan({ ...SCAN, after: utf8('?') })).rejects.toMatchObject({ definite: true })
  await expect(coordinator.scan({ ...SCAN, index: '' })).rejects.toThrow(/index/)
  await expect(coordinator.scan({ ...SCAN, type: 'unknown' })).rejects.toThrow(RangeError)
  await expect(coordinator.scan(SCAN, { r: 4 })).rejects.toThrow(/r is 4, n is 3/)
})

test('the fake answers only for the slices that it is asked for', async () => {
  const setting = await islands()
  const { world, replicas, runtime, primaries } = setting
  await world.run(async () => {
    await fill(setting, 20)
    const [target] = primaries(keyId('k0000'))
    if (!target) throw new Error('a primary')
    const slice = partitionOf(keyId('k0000'), PARTITIONS, runtime.digest.sha1)
    const vnodes = [{ partition: target.partition, role: target.role, slices: [slice] }]
    const request = {
      ...SCAN,
      vnodes,
      partitions: PARTITIONS,
      epoch: target.epoch,
      from: undefined,
      to: undefined,
      after: undefined,
      limit: 100,
      groups: undefined,
    }
    const page = await replicas.scan(target.node, request, { timeoutMs: 100 })
    expect(page.entries.every((entry) => entry.slice === slice)).toBe(true)
  })
})
