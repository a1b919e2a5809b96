import { utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { collect, content, id, valuesOf, write } from '../../vnode/test/world.ts'
import { Atoll, CALL, type Island, MOVED, OWNED_BY_N1, PARTITIONS } from './atoll.ts'

const AT_N1 = { node: 'n1', partition: 1, role: 'primary', epoch: 1 } as const
const NAMES = ['n1', 'n2', 'n3']

const listed = (term: string) => ({
  indexes: [{ index: 'list', scope: utf8('s'), term: utf8(term), payload: utf8(term) }],
})

/** Records of every type: values, siblings, tombstones, index entries. */
async function fill(node: Island, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const name = `k${at.toString().padStart(3, '0')}`
    const type = ['default', 'lww', 'blocks'][at % 3]!
    await node.write(AT_N1, id(name, type), `v${at}`, at % 3 === 0 ? listed(name) : {})
    if (at % 6 === 0) await node.write(AT_N1, id(name, type), `sibling of v${at}`, listed(name))
    if (at % 7 === 0) await node.write(AT_N1, id(name, type), '', { tombstone: true })
  }
}

const recordsOf = async ({ host }: Island, partition = 1) => {
  const items = await collect(host.fold(partition))
  return new Map(items.map(({ id: { type, key }, record }) => [`${type} ${Buffer.from(key)}`, record]))
}

const termsOf = async (node: Island, target: string, epoch: number, limit = 1000) => {
  const slices = [0, 1, 2, 3, 4, 5, 6, 7]
  const place = { type: 'default', index: 'list', scope: utf8('s'), from: undefined, to: undefined }
  const vnodes = [
    { partition: 1, slices },
    { partition: 2, slices },
  ]
  const terms: string[] = []
  for (let after: { term: Uint8Array; bucket: Uint8Array; key: Uint8Array } | undefined; ; ) {
    const page = await node.replicas.scan(target, { ...place, vnodes, after, limit, epoch }, CALL)
    terms.push(...page.entries.map(({ term }) => Buffer.from(term).toString()))
    if (page.done) return terms
    after = page.entries.at(-1)
  }
}

const sent = ({ runtime }: Island, kind: string) =>
  runtime.metrics.value('atoll_handoff_records_total', { kind, direction: 'out' })

/** What has arrived tells more than what was acknowledged. */
const taken = ({ runtime }: Island, kind: string) =>
  runtime.metrics.value('atoll_handoff_records_total', { kind, direction: 'in' })

describe('a transfer', () => {
  it('brings every record with its clock, seals, and leaves nothing behind', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: { pageRecords: 7 } }).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 60)
      const before = await recordsOf(n1)
      const terms = await termsOf(n3, 'n1', 1)
      await n1.handoffs.transfer(1, 'n2')
      expect(await recordsOf(n2)).toEqual(before)
      expect(sent(n1, 'transfer')).toBe(60)
      expect(n1.handoffs.outgoing()).toEqual(new Map([[1, 'n2']]))
      // Sealed: whoever asks the owner of before is answered by the one to come.
      const later = await n3.write(AT_N1, id('later'), 'late')
      expect((await recordsOf(n2)).get('default later')).toEqual(later)
      expect((await recordsOf(n1)).has('default later')).toBe(false)
      expect(await n1.values(AT_N1, id('later'))).toEqual(['late'])
      expect(await termsOf(n3, 'n1', 1, 5)).toEqual(terms)

      atoll.decide(MOVED, ['n1', 'n2'])
      await n1.handoffs.release(1)
      expect(await n3.values(AT_N1, id('later'))).toEqual(['late'])
      expect(await n1.handoffs.giveBack({ partition: 1, to: ['n2'] })).toMatchObject({
        records: 60,
        left: 0,
        corrupt: 0,
      })
      expect(sent(n1, 'give-back')).toBe(0)
      expect(await n1.host.partitions()).toEqual([])
      expect(await n3.values(AT_N1, id('later'))).toEqual(['late'])
      expect(await termsOf(n3, 'n1', 1, 5)).toEqual(terms)
      expect(await termsOf(n3, 'n2', 2)).toEqual(terms)
      expect(n1.handoffs.outgoing()).toEqual(new Map())
      expect((await n1.keys()).filter((key) => !key.startsWith('!meta!count!')).length).toBeLessThan(10)
    })
  })

  it('loses no write that comes meanwhile, and never are there two owners that accept', async () => {
    for (let seed = 0; seed < 2; seed++) {
      const atoll = new Atoll(NAMES, OWNED_BY_N1, { seed, handoff: { pageRecords: 5 } })
      await atoll.run(async () => {
        const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
        await fill(n1, 30)
        const acknowledged = new Map<string, Set<string>>()
        let over = false
        const clients = Array.from({ length: 6 }, async (_, client) => {
          for (let at = 0; !over; at++) {
            // Some keys are hot, others come but once.
            const name = at % 3 === 0 ? `c${client}-${at}` : `k00${n3.runtime.random.below(10)}`
            await n3.write(AT_N1, id(name), `${client}/${at}`)
            acknowledged.set(name, (acknowledged.get(name) ?? new Set()).add(`${client}/${at}`))
            await atoll.sleep(n3.runtime.random.below(5))
          }
        })
        const missing = async () => {
          const known = [...acknowledged].map(([name, values]) => [name, [...values]] as const)
          const missed = known.map(async ([name, values]) => {
            const there = valuesOf((await n2.host.get({ partition: 1, id: id(name) })).record)
            return values.filter((value) => !there.includes(value))
          })
          return (await Promise.all(missed)).flat()
        }
        await atoll.sleep(5)
        await n1.handoffs.transfer(1, 'n2')
        expect(await missing()).toEqual([])
        await atoll.sleep(20)
        over = true
        await Promise.all(clients)
        expect(await missing()).toEqual([])
        expect(acknowledged.size).toBeGreaterThan(20)
        expect(atoll.accepted.lastIndexOf('n1')).toBeLessThan(atoll.accepted.indexOf('n2'))
        expect(n1.runtime.metrics.value('atoll_handoff_failures_total', { code: 'ATOLL_TIMEOUT' })).toBe(0)
      })
    }
  })

  it('sends nothing again that is there', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: { pageRecords: 4 } }).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 40)
      const abort = new AbortController()
      const first = n1.handoffs.transfer(1, 'n2', { signal: abort.signal })
      while ((await n2.host.count(1)) < 20) await atoll.sleep(1)
      abort.abort()
      await expect(first).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
      expect(taken(n2, 'transfer')).toBeLessThan(30)
      await n1.crash()
      await n1.handoffs.transfer(1, 'n2')
      expect(taken(n2, 'transfer')).toBe(40)
      expect(await recordsOf(n2)).toEqual(await recordsOf(n1))
    })
  })

  it('leaves a damaged record out, and it stays where it is', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 10)
      n1.disk.rot(1, ({ key }) => Buffer.from(key).toString().endsWith('k004'))
      await n1.handoffs.transfer(1, 'n2')
      expect(await n2.host.count(1)).toBe(9)
      atoll.decide(MOVED)
      await n1.handoffs.release(1)
      expect(await n1.handoffs.giveBack({ partition: 1, to: ['n2'] })).toMatchObject({
        records: 9,
        left: 1,
        corrupt: 1,
      })
    })
  })

  it('that is cancelled is as if it had never been', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: { pageRecords: 4 } }).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 40)
      const transfer = n1.handoffs.transfer(1, 'n2').catch((error) => error)
      while ((await n2.host.count(1)) < 20) await atoll.sleep(1)
      await n1.handoffs.cancel(1)
      expect(await transfer).toMatchObject({ code: 'ATOLL_ABORTED' })
      expect(n1.handoffs.outgoing().size).toBe(0)
      await n3.write(AT_N1, id('more'), 'v')
      expect((await n2.handoffs.giveBack({ partition: 1, to: ['n1'] })).left).toBe(0)
      expect(await n2.host.partitions()).toEqual([])
      expect(await n1.host.count(1)).toBe(41)
    })
  })

  it('that is cancelled is over also if the other node has filed its records by more partitions since', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 5)
      await n1.handoffs.transfer(1, 'n2')
      await n3.write(AT_N1, id('over the seal'), 'v')
      await n2.handoffs.refile(2 * PARTITIONS)
      const cancelling = n1.handoffs.cancel(1)
      await Promise.race([cancelling, atoll.sleep(5000)])
      expect(n1.host.gates.all().size).toBe(0)
      await cancelling
      await n3.write(AT_N1, id('here again'), 'v')
      // What came over the seal is given back, as what lies anywhere for others is.
      await n1.handoffs.refile(2 * PARTITIONS)
      for (const partition of await n2.host.partitions())
        expect((await n2.handoffs.giveBack({ partition, to: ['n1'] })).left).toBe(0)
      const counts = await Promise.all(
        (await n1.host.partitions()).map((partition) => n1.host.count(partition)),
      )
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(7)
    })
  })

  it('that is cancelled after it was sealed brings back what was written meanwhile', async () => {
    for (let seed = 0; seed < 3; seed++) {
      const atoll = new Atoll(NAMES, OWNED_BY_N1, { seed, handoff: { pageRecords: 4 } })
      await atoll.run(async () => {
        const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
        await fill(n1, 20)
        await n1.handoffs.transfer(1, 'n2')
        const acknowledged = new Map<string, string>()
        let over = false
        const client = async (which: number) => {
          for (let at = 0; !over; at++) {
            const name = `c${which}-${at}`
            await n3.write(AT_N1, id(name), name)
            acknowledged.set(name, name)
            await atoll.sleep(n3.runtime.random.below(16))
          }
        }
        const clients = [client(1), client(2), client(3)]
        await atoll.sleep(20)
        await n1.handoffs.cancel(1)
        await atoll.sleep(20)
        over = true
        await Promise.all(clients)
        for (const name of acknowledged.keys())
          expect(await n1.host.get({ partition: 1, id: id(name) })).toMatchObject({
            corrupt: false,
            record: expect.anything(),
          })
        const { accepted } = atoll
        const turns = accepted.filter((node, at) => node !== accepted[at - 1])
        expect(turns).toEqual(['n1', 'n2', 'n1'])
        expect((await n2.handoffs.giveBack({ partition: 1, to: ['n1'] })).left).toBe(0)
        expect(n2.handoffs.status().filter(({ direction }) => direction === 'out')).toEqual([])
      })
    }
  })
})

describe('giving back', () => {
  it('keeps what has changed meanwhile, and what a fallback takes thereafter gets dots of another actor', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      const fallback = { node: 'n3', partition: 1, role: 'fallback', epoch: 1 } as const
      const first = await n2.write(fallback, id('k'), 'one')
      expect((await n3.handoffs.giveBack({ partition: 1, to: ['n1'] })).left).toBe(0)
      const second = await n2.write(fallback, id('k'), 'two')
      expect(second.siblings[0]?.dot.actor).not.toBe(first.siblings[0]?.dot.actor)
      expect((await n3.handoffs.giveBack({ partition: 1, to: ['n1'] })).left).toBe(0)
      expect((await n1.values(AT_N1, id('k'))).sort()).toEqual(['one', 'two'])
    })
  })

  it('loses nothing that is written while it goes on', async () => {
    for (let seed = 0; seed < 3; seed++) {
      const atoll = new Atoll(NAMES, OWNED_BY_N1, { seed, handoff: { pageRecords: 3 } })
      await atoll.run(async () => {
        const [, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
        const fallback = { node: 'n3', partition: 1, role: 'fallback', epoch: 1 } as const
        const acknowledged = new Map<string, Set<string>>()
        const writing = Array.from({ length: 60 }, async (_, at) => {
          await atoll.sleep(n2.runtime.random.below(40))
          const name = `k${at % 7}`
          await n2.write(fallback, id(name), `${at}`)
          acknowledged.set(name, (acknowledged.get(name) ?? new Set()).add(`${at}`))
        })
        for (let pass = 0; pass < 12; pass++) {
          await n3.handoffs.giveBack({ partition: 1, to: ['n1'] })
          await atoll.sleep(3)
        }
        await Promise.all(writing)
        expect((await n3.handoffs.giveBack({ partition: 1, to: ['n1'] })).left).toBe(0)
        for (const [name, values] of acknowledged) {
          expect(new Set(await n2.values(AT_N1, id(name))), `${seed} ${name}`).toEqual(values)
        }
        expect(await termsOf(n2, 'n3', 0)).toEqual([])
      })
    }
  })

  it('brings a deletion of a write-once record back, and no older value over it', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, , n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      const request = write(id('k', 'blocks'), content('block'))
      await n3.host.coordinate(request)
      await n1.write(AT_N1, id('k', 'blocks'), '', { tombstone: true })
      expect((await n3.handoffs.giveBack({ partition: 1, to: ['n1'] })).left).toBe(0)
      const { record } = await n1.host.get({ partition: 1, id: id('k', 'blocks') })
      expect(record?.siblings.map(({ tombstone }) => tombstone)).toEqual([true])
    })
  })

  it('to nobody is an error: what nobody is given would be deleted', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await n2.host.coordinate(write(id('k'), content('hint')))
      const error = await n2.handoffs.giveBack({ partition: 1, to: [] }).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(RangeError)
      expect(error).toMatchObject({ message: expect.stringContaining('to must name the nodes') })
      expect(await n2.host.count(1)).toBe(1)
    })
  })

  it('is refused to the owner itself, and for what is on its way elsewhere', async () => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 5)
      await expect(n1.handoffs.giveBack({ partition: 1, to: ['n2'] })).rejects.toMatchObject({
        code: 'ATOLL_CHANGE_REFUSED',
      })
      await n1.handoffs.transfer(1, 'n2')
      // What was brought by the transfer is nobody's hint.
      await expect(n2.handoffs.giveBack({ partition: 1, to: ['n1'] })).rejects.toMatchObject({
        code: 'ATOLL_OVERLOADED',
      })
      expect(await n2.host.count(1)).toBe(5)
    })
  })
})

describe('a return that a restart has stopped', () => {
  it('is forgotten when the partition is this node’s own, and the former owner can give back', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: { pageRecords: 4 } }).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 20)
      await n1.handoffs.transfer(1, 'n2')
      const abort = new AbortController()
      const asking = n1.handoffs.cancel(1, { signal: abort.signal }).catch((error: unknown) => error)
      while (n2.host.gates.get(1) === undefined) await atoll.sleep(1)
      abort.abort()
      expect(await asking).toMatchObject({ code: 'ATOLL_ABORTED' })
      await n2.crash()
      expect(n2.host.gates.get(1)).toMatchObject({ to: 'n1', isReturn: true })
      // It is not this node's own yet.
      expect(n2.handoffs.outgoing()).toEqual(new Map())
      // The same move is decided again, and done.
      await n1.handoffs.transfer(1, 'n2')
      atoll.decide(MOVED)
      await n1.handoffs.release(1)
      const circle = n1.handoffs.giveBack({ partition: 1, to: ['n2'] })
      await expect(circle).rejects.toMatchObject({ message: expect.stringContaining('moves to n1') })
      // Nobody's wish any more, and so it is cancelled.
      expect(n2.handoffs.outgoing()).toEqual(new Map([[1, 'n1']]))
      await n2.handoffs.cancel(1)
      expect(n2.handoffs.outgoing()).toEqual(new Map())
      expect(await n1.handoffs.giveBack({ partition: 1, to: ['n2'] })).toMatchObject({ left: 0 })
      expect(await n1.host.partitions()).toEqual([])
      const target = { node: 'n2', partition: 1, role: 'primary', epoch: 2 } as const
      await n3.write(target, id('later'), 'v')
      expect(await n2.host.handoffOf(1).countNotes()).toBe(0)
    })
  })
})

describe('a refill', () => {
  it('copies what is chosen to where it is lacking, and goes on where it was', async () => {
    await new Atoll(NAMES, OWNED_BY_N1, { handoff: { pageRecords: 4 } }).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 30)
      const select = (key: { type: string }) =>
        key.type === 'default'
          ? [
              { node: 'n2', partition: 2 },
              { node: 'n3', partition: 3 },
            ]
          : []
      const abort = new AbortController()
      const refill = { id: 'more', partition: 1, select }
      const first = n1.handoffs.refill({ ...refill, signal: abort.signal })
      while ((await n3.host.count(3)) < 4) await atoll.sleep(1)
      abort.abort()
      await expect(first).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
      await n1.crash()
      await n1.handoffs.refill(refill)
      expect(taken(n2, 'refill') + taken(n3, 'refill')).toBe(20)
      expect(await n2.host.count(2)).toBe(10)
      expect(await recordsOf(n3, 3)).toEqual(await recordsOf(n2, 2))
      expect(await n1.host.count(1)).toBe(30)
      expect(await n1.handoffs.refill(refill)).toEqual({ records: 0, bytes: 0 })
    })
  })
  it('that is stopped lets another node have its place at once', async () => {
    const handoff = { pageRecords: 4, maxIncoming: 1 }
    await new Atoll(NAMES, OWNED_BY_N1, { handoff }).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      await fill(n1, 30)
      await n3.host.coordinate(write(id('k'), content('another')))
      const select = () => [{ node: 'n2', partition: 1 }]
      const abort = new AbortController()
      const first = n1.handoffs.refill({ id: 'more', partition: 1, select, signal: abort.signal })
      while ((await n2.host.count(1)) < 4) await atoll.sleep(1)
      abort.abort()
      await expect(first).rejects.toMatchObject({ code: 'ATOLL_ABORTED' })
      const startMs = atoll.world.nowMs
      const toPartition2 = () => [{ node: 'n2', partition: 2 }]
      await n3.handoffs.refill({ id: 'other', partition: 1, select: toPartition2 })
      expect(await n2.host.count(2)).toBe(1)
      // The place of one that says nothing is kept for 10 s.
      expect(atoll.world.nowMs - startMs).toBeLessThan(1000)
    })
  })
})
