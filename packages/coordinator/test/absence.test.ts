import { AtollError, isAtollError, utf8 } from '@atoll/core'
import { expect, test } from 'vitest'
import type { Islands } from './islands.ts'
import { failure, islands, keyId, keyOn, texts } from './islands.ts'

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']
const SCAN = { type: 'default', index: 'list', scope: utf8('b') }

/** Whoever may be down: nobody, one, two, and so on. */
function subsets<T>(items: readonly T[]): T[][] {
  const [first, ...others] = items
  if (first === undefined) return [[]]
  const rest = subsets(others)
  return [...rest, ...rest.map((subset) => [first, ...subset])]
}

async function isUnknown(call: Promise<unknown>): Promise<boolean> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error === undefined) return false
  if (!isAtollError(error) || !error.transient) throw error
  return true
}

/** Down as everybody knows, or as nobody knows yet. */
const WAYS = ['known', 'unknown'] as const

function takeDown({ down, replicas }: Islands, nodes: readonly string[], way: (typeof WAYS)[number]): void {
  for (const set of [down, replicas.dead]) set.clear()
  for (const node of nodes) {
    replicas.dead.add(node)
    if (way === 'known') down.add(node)
  }
}

test.each(WAYS)(
  'what a majority of primaries has is never absent, whoever is down, which is %s',
  async (way) => {
    const setting = await islands()
    const { world, coordinator, at, types } = setting
    types.set('once', { policy: { kind: 'write-once' } })
    await world.run(async () => {
      const ids = ['default', 'once', 'lww'].flatMap((type) =>
        Array.from({ length: 8 }, (_, place) => keyId(`k${place}`, type)),
      )
      for (const id of ids) {
        const indexes =
          id.type === 'once' ? [] : [{ index: 'list', scope: utf8('b'), term: id.key, payload: id.key }]
        await coordinator.put(id, { value: utf8('there'), indexes }, { pw: 2 })
      }
      const counts = { read: 0, unknown: 0 }
      for (const nodes of subsets(NODES)) {
        takeDown(setting, nodes, way)
        const reader = at(NODES.find((node) => !nodes.includes(node)) ?? 'n1')
        await reader.open()
        for (const id of ids) {
          const reading = reader.get(id)
          if (await isUnknown(reading)) counts.unknown += 1
          else {
            expect(texts(await reading), `${id.type} without ${nodes}`).toEqual(['there'])
            counts.read += 1
          }
        }
        const scanning = reader.scan(SCAN)
        if (!(await isUnknown(scanning))) expect((await scanning).entries).toHaveLength(8)
        await reader.close()
      }
      expect(counts.read).toBeGreaterThan(300)
      expect(counts.unknown).toBeGreaterThan(100)
    })
  },
)

test('a deletion of what may be there is not answered as one of nothing', async () => {
  const setting = await islands()
  const { world, coordinator, at } = setting
  await world.run(async () => {
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    await coordinator.put(id, { value: utf8('there') }, { pw: 3 })
    takeDown(setting, ['n1', 'n2', 'n3'], 'known')
    const other = at('n4')
    await other.open()
    const error = await failure(other.delete(id))
    expect(error).toMatchObject({ code: 'ATOLL_QUORUM_UNMET', transient: true })
    expect(error).toMatchObject({ details: { down: ['n1', 'n2', 'n3'], missing: 2 } })
    expect(String(error)).toMatch(/down: n1 n2 n3/)
    expect(await other.delete(id, { n: 3 }).catch(() => 'refused')).toBe('refused')
    // Whoever wants Riak's way has it.
    expect(await other.get(id, { absence: 'any' })).toMatchObject({ values: [] })
  })
})

test('what an old tombstone on a fallback hides is not absent', async () => {
  const setting = await islands()
  const { world, coordinator, at, replicas } = setting
  await world.run(async () => {
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    await coordinator.put(id, { value: utf8('first') }, { dw: 'all' })
    await coordinator.delete(id)
    const tombstone = replicas.peek({ node: 'n1', partition: setting.primaries(id)[0]?.partition ?? 0 }, id)
    if (tombstone === undefined) throw new Error('a tombstone was written')
    await coordinator.put(id, { value: utf8('second') }, { dw: 'all' })
    for (const node of ['n4', 'n5'])
      replicas.store({ node, partition: setting.primaries(id)[0]?.partition ?? 0 }, id, tombstone)
    takeDown(setting, ['n1', 'n2', 'n3'], 'known')
    const other = at('n4')
    await other.open()
    expect(await failure(other.get(id))).toMatchObject({ code: 'ATOLL_QUORUM_UNMET' })
    takeDown(setting, ['n1', 'n2'], 'known')
    expect(texts(await other.get(id))).toEqual(['second'])
  })
})

test('a reader says what shows; what does not is as good as nothing', async () => {
  const setting = await islands()
  const { world, coordinator, at } = setting
  await world.run(async () => {
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    await coordinator.put(id, { value: utf8('dull') }, { dw: 'all' })
    takeDown(setting, ['n1', 'n2'], 'known')
    const other = at('n4')
    await other.open()
    const shows = (values: readonly { value: Uint8Array }[]) => values.some(({ value }) => value.length > 10)
    expect(texts(await other.get(id))).toEqual(['dull'])
    expect(await failure(other.get(id, { shows }))).toMatchObject({ code: 'ATOLL_QUORUM_UNMET' })
    takeDown(setting, ['n1'], 'known')
    expect(texts(await other.get(id, { shows }))).toEqual(['dull'])
    expect(await failure(other.get(keyId('a', 'once'), { shows }))).toBeInstanceOf(TypeError)
    expect(await failure(other.scan(SCAN, { shows }))).toBeInstanceOf(TypeError)
  })
})

test('what the reader asks for throws: the error is the reader’s at once, and the place in the queue is free again', async () => {
  const setting = await islands({ options: { maxRequests: 2 } })
  const { world, coordinator, at } = setting
  await world.run(async () => {
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    await coordinator.put(id, { value: utf8('dull') }, { dw: 'all' })
    takeDown(setting, ['n1', 'n2'], 'known')
    const other = at('n4')
    await other.open()
    const error = new Error('a mistake of the reader')
    const shows = () => {
      throw error
    }
    for (let n = 0; n < 5; n++) expect(await failure(other.get(id, { shows }))).toBe(error)
    expect(texts(await other.get(id))).toEqual(['dull'])
    await other.close()
  })
})

test('one primary that keeps still costs the attempt timeout, whatever the answer is', async () => {
  const setting = await islands({ options: { attemptTimeoutMs: 300 } })
  const { world, coordinator, replicas } = setting
  await world.run(async () => {
    replicas.fault = (node) => (node === 'n2' ? { kind: 'hang' } : undefined)
    for (const type of ['default', 'once']) {
      const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
      const startMs = world.nowMs
      expect(await coordinator.get(id)).toEqual({ values: [], context: undefined })
      expect(world.nowMs - startMs).toBeLessThan(320)
      if (type === 'default') {
        expect(await coordinator.delete(id)).toMatchObject({ accepted: 0 })
        expect(world.nowMs - startMs).toBeLessThan(640)
      }
    }
  })
})

test('two that keep still are given up for those that stand in for them, and a value there is found', async () => {
  const setting = await islands({ options: { attemptTimeoutMs: 300 } })
  const { world, coordinator, down, replicas } = setting
  await world.run(async () => {
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    down.add('n2').add('n3')
    await coordinator.put(id, { value: utf8('there') }, { dw: 'all' })
    down.clear()
    replicas.fault = (node) => (node === 'n2' || node === 'n3' ? { kind: 'hang' } : undefined)
    const startMs = world.nowMs
    expect(texts(await coordinator.get(id))).toEqual(['there'])
    expect(world.nowMs - startMs).toBeLessThan(320)
  })
})

test('a read whose connections all broke is tried again in a moment, and answers', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, runtime } = setting
  await world.run(async () => {
    const there = ['default', 'once'].map((type) => keyOn(setting, ['n2', 'n3', 'n4'], type))
    for (const id of there) await coordinator.put(id, { value: utf8('there') }, { dw: 'all' })
    for (const id of [...there, keyId('nothing'), keyId('nothing', 'once')]) {
      for (const node of NODES) replicas.dead.add(node)
      void runtime.clock.sleep(50).then(() => replicas.dead.clear())
      expect(texts(await coordinator.get(id))).toEqual(there.includes(id) ? ['there'] : [])
    }
    for (const node of NODES) replicas.dead.add(node)
    void runtime.clock.sleep(50).then(() => replicas.dead.clear())
    expect(await coordinator.scan(SCAN)).toMatchObject({ entries: [] })
  })
})

test('a node that takes all others for dead for a moment answers once it knows better', async () => {
  const setting = await islands()
  const { world, coordinator, down, replicas, runtime } = setting
  await world.run(async () => {
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    const absent = keyOn(setting, ['n5', 'n1', 'n2'])
    await coordinator.put(id, { value: utf8('there') }, { dw: 'all' })
    const suspectAll = () => {
      for (const node of NODES.slice(1)) down.add(node)
      void runtime.clock.sleep(60).then(() => down.delete('n2'))
      void runtime.clock.sleep(120).then(() => down.clear())
    }
    for (const call of [
      async () => expect(texts(await coordinator.get(id))).toEqual(['there']),
      async () => expect(texts(await coordinator.get(absent))).toEqual([]),
      async () => expect((await coordinator.scan(SCAN)).entries).toEqual([]),
      async () => expect(await coordinator.put(id, { value: utf8('again') })).toMatchObject({ durable: 2 }),
    ]) {
      suspectAll()
      await call()
      await runtime.clock.sleep(200)
    }
    expect(replicas.count('get')).toBeLessThan(30)
  })
})

test('a request waits longer for nodes of which nobody knows yet whether they are dead', async () => {
  const setting = await islands()
  const { world, coordinator, down, suspects, runtime } = setting
  await world.run(async () => {
    const id = keyOn(setting, ['n1', 'n2', 'n3'])
    await coordinator.put(id, { value: utf8('there') }, { dw: 'all' })
    const isolate = (forMs: number) => {
      for (const node of NODES.slice(1)) down.add(node)
      void runtime.clock.sleep(forMs).then(() => down.clear())
    }
    for (const node of NODES) suspects.add(node)
    isolate(1500)
    const [read, page, written] = await Promise.all([
      coordinator.get(id),
      coordinator.scan(SCAN),
      coordinator.put(keyId('new'), { value: utf8('new') }),
    ])
    expect(texts(read)).toEqual(['there'])
    expect(page).toMatchObject({ entries: [] })
    expect(written.durable).toBeGreaterThan(1)
    for (const [isSuspect, leastMs, mostMs] of [
      [true, 2000, 2200],
      [false, 400, 600],
    ] as const) {
      suspects.clear()
      if (isSuspect) suspects.add('n3')
      isolate(10_000)
      const startMs = world.nowMs
      expect(await failure(coordinator.get(id))).toMatchObject({ code: 'ATOLL_QUORUM_IMPOSSIBLE' })
      expect(world.nowMs - startMs).toBeGreaterThanOrEqual(leastMs)
      expect(world.nowMs - startMs).toBeLessThan(mostMs)
      down.clear()
    }
    // Who was suspect and is found dead is not waited for any longer.
    suspects.add('n2').add('n3')
    isolate(10_000)
    void runtime.clock.sleep(800).then(() => suspects.clear())
    const startMs = world.nowMs
    await failure(coordinator.get(id))
    expect(world.nowMs - startMs).toBeGreaterThanOrEqual(800)
    expect(world.nowMs - startMs).toBeLessThan(900)
  })
})

test('every replica damaged is corrupt; one of them out of reach, and nobody knows', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, primaries } = setting
  await world.run(async () => {
    for (const type of ['default', 'once']) {
      const id = keyOn(setting, ['n1', 'n2', 'n3'], type)
      await coordinator.put(id, { value: utf8('there') }, { dw: 'all' })
      const [first, second, third] = primaries(id)
      if (!first || !second || !third) throw new Error('three primaries')
      for (const target of [first, second, third]) replicas.corrupt(target, id)
      expect(await failure(coordinator.get(id))).toMatchObject({ code: 'ATOLL_CORRUPT', transient: false })
      replicas.forget(second, id)
      replicas.forget(third, id)
      replicas.fault = (node) =>
        node === 'n3' ? { kind: 'before', error: new AtollError('ATOLL_UNREACHABLE', 'away') } : undefined
      expect(await failure(coordinator.get(id))).toMatchObject({
        code: 'ATOLL_QUORUM_UNMET',
        transient: true,
      })
      replicas.fault = () => undefined
    }
  })
})

test('absence is checked as every other option', async () => {
  const { world, coordinator, types } = await islands()
  await world.run(async () => {
    for (const absence of ['some', 3]) {
      const options = { absence } as unknown as { absence: 'any' }
      expect(await failure(coordinator.get(keyId('a'), options))).toMatchObject({
        message: expect.stringMatching(/absence/),
      })
      expect(() => types.set('odd', options)).toThrow(/absence/)
    }
    types.set('riak', { absence: 'any' })
    expect(types.get('riak').absence).toBe('any')
  })
})
