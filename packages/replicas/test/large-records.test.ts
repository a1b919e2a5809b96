import type { StoredRecord } from '@atoll/causality'
import { AtollError, MiB } from '@atoll/core'
import { callOrStream, MemoryNetwork, RpcEndpoint } from '@atoll/transport'
import { describe, expect, it } from 'vitest'
import { Atoll, type Island, OWNED_BY_N1 } from '../../handoff/test/atoll.ts'
import { content, id, makeHost, memoryStore, testRuntime, write } from '../../vnode/test/world.ts'
import { isLargeRecord } from '../src/large-records.ts'
import { coordinateMethod, putMethod } from '../src/methods.ts'

const NAMES = ['n1', 'n2', 'n3']
const KEY = id('k')
const CALL = { timeoutMs: 60_000 }
const PLAIN = { role: 'primary', epoch: 0, forwards: 0, bySeal: false } as const
const AT = (node: string) => ({ node, partition: 1 })

function sizesOf(record: StoredRecord | undefined): number[] {
  return (record?.siblings ?? []).map(({ value }) => value.length / MiB)
}

/** Each node gets a write of 5 MiB that the others do not know of. */
async function writeApart(nodes: readonly Island[]): Promise<StoredRecord[]> {
  const records: StoredRecord[] = []
  for (const [at, { host }] of nodes.entries()) {
    const value = new Uint8Array(5 * MiB).fill(at + 1)
    records.push((await host.coordinate(write(KEY, content(value)))).record)
  }
  return records
}

const islands = (atoll: Atoll) => NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]

describe('what two sides of a partition have written is merged past the limit of a client, and', () => {
  it('is stored, read and repaired as any record', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = islands(atoll)
      const [, second, third] = await writeApart([n1, n2, n3])
      if (second === undefined || third === undefined) throw new Error('three records')
      expect(await n1.replicas.put(AT('n2'), KEY, third, CALL)).toEqual({ changed: true })
      const { record } = await n1.replicas.get(AT('n2'), KEY, CALL)
      expect(sizesOf(record)).toEqual([5, 5])
      if (record === undefined) throw new Error('a record is there')
      expect(isLargeRecord(record)).toBe(true)
      expect(await n2.replicas.put(AT('n1'), KEY, record, { ...CALL, tellAlone: true })).toEqual({
        changed: true,
        alone: false,
      })
      const own = await n1.replicas.get(AT('n1'), KEY, CALL)
      const afar = await n3.replicas.get(AT('n1'), KEY, CALL)
      expect(sizesOf(afar.record)).toEqual([5, 5, 5])
      expect(afar.record?.siblings.map(({ value }) => value[0]).sort()).toEqual([1, 2, 3])
      expect(afar.record?.clock).toEqual(own.record?.clock)
    })
  })

  it('is written on by a client that makes it no larger, once, and refuses one that would', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = islands(atoll)
      const [first, second, third] = await writeApart([n1, n2, n3])
      if (first === undefined || second === undefined || third === undefined) throw new Error('three records')
      for (const record of [second, third]) await n1.replicas.put(AT('n1'), KEY, record, CALL)
      const { partition: _, id: __, ...blind } = write(KEY, content('small'))
      const context = { vector: third.clock, timestampMs: 0 }
      const { record } = await n3.replicas.coordinate(AT('n1'), KEY, { ...blind, context }, CALL)
      expect(sizesOf(record).filter((size) => size === 5)).toHaveLength(2)
      expect(record.siblings).toHaveLength(3)
      const [actor] = first.clock.keys()
      expect(record.clock.get(actor ?? ''), 'one event, though it was asked for twice').toBe(2)
      await expect(
        n3.replicas.coordinate(AT('n1'), KEY, { ...blind, writeId: new Uint8Array(16) }, CALL),
      ).rejects.toMatchObject({
        code: 'ATOLL_TOO_LARGE',
        definite: true,
      })
    })
  })

  it('moves, and leaves nothing behind', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = islands(atoll)
      const [, , third] = await writeApart([n1, n2, n3])
      if (third === undefined) throw new Error('three records')
      await n1.replicas.put(AT('n1'), KEY, third, CALL)
      for (const key of ['a', 'z']) await n1.host.coordinate(write(id(key), content(key)))
      await n1.handoffs.transfer(1, 'n2')
      expect(sizesOf((await n2.host.get({ partition: 1, id: KEY })).record)).toEqual([5, 5, 5])
      // Who asks the former owner is sent on.
      expect(sizesOf((await n3.replicas.get(AT('n1'), KEY, CALL)).record)).toEqual([5, 5, 5])
      expect(await n3.replicas.put(AT('n1'), KEY, third, CALL)).toEqual({ changed: false })
      atoll.decide({ epoch: 2, owners: OWNED_BY_N1.owners.map(() => 'n2') })
      await n1.handoffs.release(1)
      expect(await n1.handoffs.giveBack({ partition: 1, to: ['n2'] })).toMatchObject({ records: 3, left: 0 })
    })
  })

  it('comes back from a fallback, reaches a node that is being filled, and one that not everybody knows', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = islands(atoll)
      const [, second, third] = await writeApart([n1, n2, n3])
      if (second === undefined || third === undefined) throw new Error('three records')
      await n3.replicas.put(AT('n3'), KEY, second, CALL)
      expect((await n3.handoffs.giveBack({ partition: 1, to: ['n1'] })).left).toBe(0)
      expect(sizesOf((await n1.host.get({ partition: 1, id: KEY })).record)).toEqual([5, 5, 5])
      const { mirrors } = n1.host
      mirrors.begin(1, 'n3')
      await n1.handoffs.refill({ id: 'a', partition: 1, select: () => [AT('n3')] })
      expect(await mirrors.makeFirm(1, 'n3')).toBe(true)
      expect(sizesOf((await n3.host.get({ partition: 1, id: KEY })).record)).toEqual([5, 5, 5])
      mirrors.settle(1, 'n3', 5)
      const from = { ...AT('n1'), epoch: 4 } as const
      expect(sizesOf((await n2.replicas.get(from, KEY, CALL)).record)).toEqual([5, 5, 5])
    })
  })
})

it('a node that takes no streams is told to find the record too large', async () => {
  const runtime = testRuntime()
  const network = new MemoryNetwork(runtime)
  const host = makeHost(memoryStore().database, runtime)
  await host.open()
  const [here, old] = ['here', 'old'].map(
    (node) =>
      new RpcEndpoint(runtime, { transport: network.transport(node), addressOf: (name) => name }, { node }),
  ) as [RpcEndpoint, RpcEndpoint]
  old.handle(putMethod, (request) => host.put(request))
  for (const endpoint of [here, old]) await endpoint.open()
  const { record: first } = await host.coordinate(write(KEY, content(new Uint8Array(5 * MiB))))
  const { record } = await host.coordinate(write(KEY, content(new Uint8Array(MiB)), 1))
  const [large] = record.siblings
  if (large === undefined) throw new Error('a sibling is there')
  const twice = {
    ...record,
    siblings: [
      ...first.siblings,
      { ...large, dot: { ...large.dot, counter: 2 }, value: new Uint8Array(5 * MiB) },
    ],
  }
  const asking = (sent: StoredRecord) => {
    const routing = { role: 'primary', epoch: 0, forwards: 0, bySeal: false } as const
    const request = { partition: 1, id: KEY, record: sent, routing }
    const call = { node: 'old', method: putMethod, request, isLarge: isLargeRecord(sent) }
    return callOrStream({ endpoint: here, clock: runtime.clock }, call, CALL)
  }
  expect(await asking(first)).toEqual({ changed: false })
  await expect(asking(twice)).rejects.toMatchObject({ code: 'ATOLL_TOO_LARGE' })
  for (const endpoint of [here, old]) await endpoint.close()
  await host.close()
})

it('an answer that is asked for once more, and does not come, leaves it open what was done', async () => {
  const streamed = { definite: false, details: { streamed: true } }
  const endpoint = {
    call: () => Promise.reject(new AtollError('ATOLL_TOO_LARGE', 'it is there, and too large', streamed)),
    openStream: () => Promise.reject(new AtollError('ATOLL_UNREACHABLE', 'n2 went away')),
  }
  const call = {
    node: 'n2',
    method: coordinateMethod,
    request: { ...write(KEY, content('a')), routing: PLAIN },
    isLarge: false,
  }
  const asked = callOrStream({ endpoint, clock: testRuntime().clock }, call, CALL)
  await expect(asked).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE', definite: false })
})
