import { AtollError, fromUtf8, type KeyId, utf8 } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { BucketTypes, type KvScan } from '../src/index.ts'
import { failure, type Islands, islands, keyId, keyOn, PARTITIONS, texts } from './islands.ts'

const SCAN: KvScan = { type: 'default', index: 'list', scope: utf8('s') }
const stale = new AtollError('ATOLL_UNREACHABLE', 'this partition has moved')
const closing = new AtollError('ATOLL_CLOSED', 'closing')

const put = ({ coordinator }: Islands, id: KeyId) => {
  const indexes = [{ index: 'list', scope: utf8('s'), term: id.key, payload: utf8('') }]
  return coordinator.put(id, { value: id.key, indexes }, { dw: 'all' })
}

async function fill(setting: Islands, count: number): Promise<KeyId[]> {
  const ids = Array.from({ length: count }, (_, at) => keyId(`k${String(at).padStart(4, '0')}`))
  for (const id of ids) await put(setting, id)
  await setting.coordinator.idle()
  return ids
}

/** What hand-off does: who holds a key now gets it from who held it, and the former holder forgets it. */
function reshapeAndHandOver(setting: Islands, ids: readonly KeyId[], names: readonly string[]): void {
  const before = ids.map((id) => setting.primaries(id))
  setting.reshape(names)
  for (const [at, id] of ids.entries()) {
    const [source] = before[at] ?? []
    const record = source && setting.replicas.peek(source, id)
    for (const former of before[at] ?? []) setting.replicas.forget(former, id)
    for (const target of setting.primaries(id)) if (record) setting.replicas.store(target, id, record)
  }
}

test('everyone is told by which epoch it is asked, and as what', async () => {
  const setting = await islands()
  const { world, coordinator, replicas, down, reshape } = setting
  const id = keyOn(setting, ['n1', 'n2', 'n3'])
  const block = keyOn(setting, ['n1', 'n2', 'n3'], 'once')
  const scan = { type: 'default', index: 'list', scope: utf8('s') }
  await world.run(async () => {
    await coordinator.put(id, { value: utf8('a') })
    expect(replicas.calls.every(({ epoch, role }) => epoch === 1 && role === 'primary')).toBe(true)
    reshape(['n1', 'n2', 'n3', 'n4', 'n5', 'n6'])
    down.add('n2')
    replicas.calls.length = 0
    for (const key of [id, block]) {
      await coordinator.put(key, { value: utf8('b') })
      await coordinator.get(key)
    }
    await coordinator.get(keyId('nowhere', 'once'))
    await coordinator.scan(scan)
    await coordinator.idle()
    expect(new Set(replicas.calls.map(({ operation }) => operation)).size).toBe(4)
    for (const { operation, epoch, node, role, partition = 0 } of replicas.calls) {
      expect(epoch).toBe(2)
      if (operation === 'scan') continue
      const holders = [0, 1, 2].map((more) => `n${(((partition + more) % PARTITIONS) % 6) + 1}`)
      expect(role).toBe(holders.includes(node) ? 'primary' : 'fallback')
    }
  })
})

describe('a scan', () => {
  /** The pages, with a new ring after each; every ring keeps one node of the one before in every list. */
  const SHAPES = [
    ['n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7'],
    ['n1', 'n2', 'n3'],
    ['n9', 'n2', 'n3', 'n1'],
    ['n2'],
    ['n2', 'n1'],
  ]

  async function pages(setting: Islands, change: (names: readonly string[]) => void): Promise<string[]> {
    const found: string[] = []
    let after: Uint8Array | undefined
    const shapes = [...SHAPES]
    do {
      const page = await setting.coordinator.scan({ ...SCAN, limit: 10, after })
      found.push(...page.entries.map(({ key }) => fromUtf8(key)))
      after = page.next
      const [names] = shapes.splice(0, 1)
      if (names !== undefined) change(names)
    } while (after !== undefined)
    expect(shapes).toEqual([])
    return found
  }

  test('neither loses nor doubles an entry when the ring changes between its pages', async () => {
    const setting = await islands()
    await setting.world.run(async () => {
      const ids = await fill(setting, 65)
      const found = await pages(setting, (names) => reshapeAndHandOver(setting, ids, names))
      expect(found).toEqual(ids.map(({ key }) => fromUtf8(key)))
    })
  })

  test('nor while a replica of every key is still empty', async () => {
    const setting = await islands({ nodes: 3 })
    const { world, replicas, reshape, coordinator } = setting
    await world.run(async () => {
      const ids = await fill(setting, 40)
      const first = await coordinator.scan({ ...SCAN, limit: 10 })
      reshape(['n1', 'n2', 'n4'])
      const second = await coordinator.scan({ ...SCAN, after: first.next }, { r: 'all' })
      const found = [...first.entries, ...second.entries].map(({ key }) => fromUtf8(key))
      expect(found).toEqual(ids.map(({ key }) => fromUtf8(key)))
      await coordinator.idle()
      const filled = ids.map((id) => replicas.holders(id).some((name) => name.startsWith('n4/')))
      expect(filled).toEqual(ids.map((_, at) => at >= 10))
    })
  })

  test('goes on by the new ring where a node refuses what is not its own any more', async () => {
    const setting = await islands({ nodes: 3 })
    const { world, replicas, coordinator } = setting
    await world.run(async () => {
      const ids = await fill(setting, 20)
      replicas.fault = (node, operation) => {
        if (node !== 'n3' || operation !== 'scan') return undefined
        replicas.fault = () => undefined
        reshapeAndHandOver(setting, ids, ['n3', 'n1', 'n2'])
        return { kind: 'before', error: stale }
      }
      // All three must answer: n3 too, which refused under the ring before.
      const page = await coordinator.scan(SCAN, { r: 3 })
      expect(page.entries).toHaveLength(20)
      expect(new Set(replicas.calls.slice(-3).map(({ node, epoch }) => `${node}@${epoch}`)).size).toBe(3)
      expect(replicas.calls.at(-1)?.epoch).toBe(2)
    })
  })

  test('asks of every slice what it has replicas for, while some have more than others', async () => {
    const setting = await islands({ nodes: 1 })
    const { world, coordinator, replicas, reshape, primaries } = setting
    await world.run(async () => {
      const ids = await fill(setting, 30)
      const table = Array.from({ length: PARTITIONS }, (_, at) => (at % 2 === 0 ? ['n1'] : ['n1', 'n2']))
      reshape(['n1', 'n2'], table)
      expect((await coordinator.scan(SCAN)).entries).toHaveLength(30)
      for (const id of ids) expect((await coordinator.get(id)).values).toHaveLength(1)
      await coordinator.idle()
      for (const id of ids) expect(replicas.holders(id)).toHaveLength(primaries(id).length)
      expect(await failure(coordinator.scan(SCAN, { r: 2 }))).toMatchObject({
        code: 'ATOLL_QUORUM_IMPOSSIBLE',
        details: { slice: 0, reachable: 1, r: 2 },
      })
      reshape(['n1', 'n2'])
      expect((await coordinator.scan(SCAN, { r: 2 })).entries).toHaveLength(30)
    })
  })
})

describe('a node that went away this instant', () => {
  test('is not missed by a read after a write that its fallbacks took', async () => {
    const setting = await islands({ nodes: 7 })
    const { world, coordinator, replicas, runtime } = setting
    await world.run(async () => {
      const id = keyOn(setting, ['n2', 'n3', 'n4'])
      replicas.dead.add('n2').add('n3')
      await put(setting, id)
      expect(replicas.holders(id)).toHaveLength(3)
      expect(texts(await coordinator.get(id))).toEqual([fromUtf8(id.key)])
      expect(texts(await coordinator.get(id, { r: 3 }))).toEqual([fromUtf8(id.key)])
      expect(runtime.metrics.value('atoll_coordinator_read_spares_total')).toBe(4)
      expect(await failure(coordinator.get(id, { sloppy: false }))).toMatchObject({
        code: 'ATOLL_QUORUM_UNMET',
      })
      await coordinator.idle()
    })
  })

  test('and one that is closing is replaced like a dead one, in writes and reads', async () => {
    const setting = await islands({ nodes: 7 })
    const { world, coordinator, replicas, down } = setting
    await world.run(async () => {
      const id = keyOn(setting, ['n2', 'n3', 'n4'])
      replicas.fault = (node) =>
        node === 'n2' || node === 'n3' ? { kind: 'before', error: closing } : undefined
      expect(await put(setting, id)).toMatchObject({ durable: 3, primaries: 1 })
      expect(texts(await coordinator.get(id))).toEqual([fromUtf8(id.key)])
      // Once it is known that they are gone, everyone chooses the same fallbacks.
      down.add('n2').add('n3')
      replicas.calls.length = 0
      expect(texts(await coordinator.get(id, { r: 3 }))).toEqual([fromUtf8(id.key)])
      const asked = replicas.calls.map(({ node, partition }) => `${node}/${partition}`)
      expect(asked.sort()).toEqual(replicas.holders(id).sort())
    })
  })

  test('a write that all replicas were too far gone to take has no code of theirs', async () => {
    const setting = await islands({ nodes: 3 })
    const { world, replicas } = setting
    await world.run(async () => {
      replicas.fault = () => ({ kind: 'before', error: closing })
      expect(await failure(put(setting, keyId('a')))).toMatchObject({
        code: 'ATOLL_QUORUM_UNMET',
        definite: true,
        transient: true,
        cause: closing,
      })
    })
  })
})

test('a type of which this node lacks the merge function is not served, and others are', async () => {
  const { world, coordinator, types, replicas } = await islands()
  const elsewhere = new BucketTypes()
  elsewhere.set('odd', {
    policy: { kind: 'merge', name: 'first', merge: ([sibling]) => sibling?.value ?? utf8('') },
  })
  await world.run(async () => {
    types.replaceAll(elsewhere.toEncoded())
    const id = keyId('a', 'odd')
    for (const call of [
      coordinator.get(id),
      coordinator.put(id, { value: utf8('a') }),
      coordinator.delete(id),
    ])
      expect(await failure(call)).toMatchObject({ code: 'ATOLL_FORMAT', definite: true })
    expect(replicas.calls).toEqual([])
    expect(await coordinator.put(keyId('a'), { value: utf8('a') })).toMatchObject({ durable: 2 })
  })
})

test('a request that begins while nobody else seems to be up is given a moment', async () => {
  const setting = await islands()
  const { world, coordinator, down } = setting
  const id = keyOn(setting, ['n1', 'n2', 'n3'])
  await world.run(async () => {
    await coordinator.put(id, { value: utf8('a') })
    const others = ['n2', 'n3', 'n4', 'n5', 'n6']
    for (const node of others) down.add(node)
    world.runtime('test').clock.timer(100, () => down.clear())
    await coordinator.put(id, { value: utf8('b'), context: (await coordinator.get(id)).context })
    for (const node of others) down.add(node)
    await expect(coordinator.get(id)).rejects.toMatchObject({
      code: 'ATOLL_QUORUM_IMPOSSIBLE',
      definite: true,
    })
  })
})
