import type { StoredRecord } from '@atoll/causality'
import { AtollError, type KeyId } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { content, id, write } from '../../vnode/test/world.ts'
import { Handoffs } from '../src/index.ts'
import { Atoll, type Document, type Island, OWNED_BY_N1 } from './atoll.ts'

const NAMES = ['n1', 'n2', 'n3']
const KIB = 1024

async function fillPartitions(node: Island, partitions: readonly number[], records = 6, bytes = 100) {
  for (const partition of partitions) {
    for (let at = 0; at < records; at++) {
      await node.host.coordinate(write(id(`k${at}`), content(new Uint8Array(bytes).fill(at)), partition))
    }
  }
}

/** The most handoffs of one direction that were seen at a time. */
async function mostAtATime(atoll: Atoll, work: Promise<unknown>, node: Island, direction: 'in' | 'out') {
  let most = 0
  let over = false
  void work.finally(() => {
    over = true
  })
  while (!over) {
    const active = node.handoffs
      .status()
      .filter((one) => one.direction === direction && one.phase !== 'waiting')
    most = Math.max(most, active.length)
    await atoll.sleep(1)
  }
  await work
  return most
}

describe('handoffs are limited', () => {
  it('in the vnodes that a node sends', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: { pageRecords: 2 } }).run(async (atoll) => {
      const [n1] = NAMES.map((name) => atoll.node(name)) as [Island]
      const all = [0, 1, 2, 3, 4, 5]
      await fillPartitions(n1, all)
      const work = Promise.all(all.map((partition) => n1.handoffs.transfer(partition, 'n2')))
      expect(await mostAtATime(atoll, work, n1, 'out')).toBe(2)
    })
  })

  it('in the vnodes that a node takes: one more waits for its place, and none is refused', async () => {
    const owners = ['n1', 'n1', 'n1', 'n3', 'n3', 'n3', 'n1', 'n1']
    const document: Document = { epoch: 1, owners }
    const handoff = { pageRecords: 2, maxIncoming: 1, maxOutgoing: 3, retryBaseMs: 5 }
    await new Atoll(NAMES, document, { handoff }).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fillPartitions(n1, [0, 1, 2])
      await fillPartitions(n3, [3, 4, 5])
      const work = Promise.all([
        ...[0, 1, 2].map((partition) => n1.handoffs.transfer(partition, 'n2')),
        ...[3, 4, 5].map((partition) => n3.handoffs.transfer(partition, 'n2')),
      ])
      expect(await mostAtATime(atoll, work, n2, 'in')).toBe(1)
      const refused = [n1, n3].map(({ runtime }) =>
        runtime.metrics.value('atoll_handoff_failures_total', { code: 'ATOLL_OVERLOADED' }),
      )
      expect(refused).toEqual([0, 0])
      for (const partition of [0, 1, 2, 3, 4, 5]) expect(await n2.host.count(partition)).toBe(6)
    })
  })

  it('in the time that one waits for a place: who holds it for too long keeps nobody for ever', async () => {
    const owners = ['n1', 'n1', 'n1', 'n3', 'n3', 'n3', 'n1', 'n1']
    // The first handoff takes 20 s, so that the second is turned away at least once before it comes.
    const handoff = { maxIncoming: 1, retryBaseMs: 5, pageRecords: 1, sendBytesPerSecond: 300 }
    await new Atoll(NAMES, { epoch: 1, owners }, { handoff }).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fillPartitions(n1, [0], 60)
      await fillPartitions(n3, [3], 1)
      const first = n1.handoffs.transfer(0, 'n2')
      while (n2.handoffs.status().length === 0) await atoll.sleep(1)
      await Promise.all([first, n3.handoffs.transfer(3, 'n2')])
      const turnedAway = n3.runtime.metrics.value('atoll_handoff_failures_total', {
        code: 'ATOLL_OVERLOADED',
      })
      const longest = n1.runtime.metrics.value('atoll_handoff_failures_total', { code: 'ATOLL_OVERLOADED' })
      expect(turnedAway + longest).toBeGreaterThan(0)
      expect([await n2.host.count(0), await n2.host.count(3)]).toEqual([60, 1])
    })
  })

  it.each([
    ['sends', { sendBytesPerSecond: 100 * KIB }],
    ['takes', { receiveBytesPerSecond: 100 * KIB }],
  ])('in the bytes per second that a node %s', async (_what, limit) => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: { ...limit, pageBytes: 20 * KIB } }).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
      await fillPartitions(n1, [1, 2], 50, 4 * KIB)
      const startMs = atoll.world.nowMs
      await Promise.all([n1.handoffs.transfer(1, 'n2'), n1.handoffs.transfer(2, 'n2')])
      const tookMs = atoll.world.nowMs - startMs
      // 400 KiB of values; the last page of each vnode goes without a pause behind it.
      expect(tookMs).toBeGreaterThan(3500)
      expect(tookMs).toBeLessThan(5000)
      expect(await n2.host.count(2)).toBe(50)
    })
  })

  it('in the bytes of a message: a page of them at most, but a large record goes alone', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: { pageBytes: 10 * KIB } }).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
      await fillPartitions(n1, [1], 10, 4 * KIB)
      await n1.host.coordinate(write(id('large'), content(new Uint8Array(100 * KIB)), 1))
      await n1.handoffs.transfer(1, 'n2')
      expect(await n2.host.count(1)).toBe(11)
    })
  })
})

it('what a client may not write to the other node moves there all the same', async () => {
  const atoll = new Atoll(NAMES, OWNED_BY_N1)
  atoll.node('n2').recordBytes = 10 * KIB
  await atoll.run(async () => {
    const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
    await n1.host.coordinate(write(id('large'), content(new Uint8Array(20 * KIB)), 1))
    await n1.handoffs.transfer(1, 'n2')
    expect(await n2.host.count(1)).toBe(1)
  })
})

it('a record that a node of an earlier build finds too large stays where it is, and the others move', async () => {
  const atoll = new Atoll(NAMES, OWNED_BY_N1)
  await atoll.run(async () => {
    const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island]
    const handoffOf = n2.host.handoffOf.bind(n2.host)
    n2.host.handoffOf = (partition) => {
      const vnode = handoffOf(partition)
      const merge = vnode.merge.bind(vnode)
      return Object.assign(vnode, {
        merge: (key: KeyId, record: StoredRecord) =>
          (record.siblings[0]?.value.length ?? 0) > 10 * KIB
            ? Promise.reject(new AtollError('ATOLL_TOO_LARGE', 'the record would be too large'))
            : merge(key, record),
      })
    }
    await fillPartitions(n1, [1])
    await n1.host.coordinate(write(id('large'), content(new Uint8Array(20 * KIB)), 1))
    await n1.handoffs.transfer(1, 'n2')
    expect(n1.runtime.metrics.value('atoll_handoff_failures_total', { code: 'ATOLL_TOO_LARGE' })).toBe(1)
    expect(await n2.host.count(1)).toBe(6)
    atoll.decide({ epoch: 2, owners: OWNED_BY_N1.owners.map(() => 'n2') })
    await n1.handoffs.release(1)
    expect(await n1.handoffs.giveBack({ partition: 1, to: ['n2'] })).toMatchObject({
      records: 6,
      left: 1,
      corrupt: 0,
    })
  })
})

describe('options of handoffs', () => {
  const make = (options: object) => () => {
    const atoll = new Atoll(['n1'], OWNED_BY_N1)
    const { runtime } = atoll.node('n1')
    return new Handoffs(runtime, { host: { node: 'n1' } as never, endpoint: {} as never }, options)
  }

  it.each([
    [{ maxOutgoing: 0 }, RangeError, /maxOutgoing .* got 0/],
    [{ pageBytes: 1 }, RangeError, /pageBytes .* 1024 to/],
    [{ sendBytesPerSecond: '1' }, TypeError, /sendBytesPerSecond must be a number/],
    [{ sendBytes: 1 }, TypeError, /no option "sendBytes"/],
  ])('are refused by name: %j', (options, kind, message) => {
    expect(make(options)).toThrow(kind)
    expect(make(options)).toThrow(message)
  })
})
