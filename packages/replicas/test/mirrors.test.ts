import { EMPTY_RECORD } from '@atoll/causality'
import { AtollError } from '@atoll/core'
import { expect, it } from 'vitest'
import { Atoll, type Island, OWNED_BY_N1 } from '../../handoff/test/atoll.ts'
import { content, id, valuesOf, write } from '../../vnode/test/world.ts'
import type { Ownership } from '../src/index.ts'
import { VnodeRouter } from '../src/router.ts'

const NAMES = ['n1', 'n2', 'n3']
const at = (epoch: number) => ({ node: 'n1', partition: 1, role: 'primary', epoch }) as const

const heldBy = async ({ host }: Island, key: string) =>
  valuesOf((await host.get({ partition: 1, id: id(key) })).record)

it('what is written reaches a node that is being filled, and one that not everybody knows of', async () => {
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
    const { mirrors } = n1.host
    await n3.write(at(1), id('before'), 'before')
    mirrors.begin(1, 'n2')
    for (const [node, key] of [
      [n1, 'local'],
      [n3, 'from afar'],
    ] as const) {
      const record = await node.write(at(1), id(key), key)
      await Promise.all(mirrors.of(1)?.get('n2')?.underWay ?? [])
      expect(await heldBy(n2, key)).toEqual([key])
      await node.replicas.put(at(1), id(`${key} copied`), record, { timeoutMs: 400 })
      await Promise.all(mirrors.of(1)?.get('n2')?.underWay ?? [])
      expect(await heldBy(n2, `${key} copied`)).toEqual([key])
    }
    await n1.handoffs.refill({ id: 'a', partition: 1, select: () => [{ node: 'n2', partition: 1 }] })
    expect(await mirrors.makeFirm(1, 'n2')).toBe(true)
    expect(await heldBy(n2, 'before')).toEqual(['before'])

    mirrors.settle(1, 'n2', 5)
    await n3.write(at(4), id('old list'), 'old list')
    expect(await heldBy(n2, 'old list')).toEqual(['old list'])
    await n3.write(at(5), id('new list'), 'new list')
    expect(await heldBy(n2, 'new list')).toEqual([])
    // Written by the new list, to the new holder alone: who has the old list sees it through the old holder.
    await n3.write({ node: 'n2', partition: 1, role: 'fallback', epoch: 5 }, id('elsewhere'), 'elsewhere')
    expect(await n3.values(at(4), id('elsewhere'))).toEqual(['elsewhere'])
    expect(await n3.values(at(5), id('elsewhere'))).toEqual([])
    mirrors.end(1, 'n2')
    expect(mirrors.of(1)).toBeUndefined()
  })
})

it('no write is sure to be alone where others may know more than this node', async () => {
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
    const options = { timeoutMs: 400, tellAlone: true }
    const { partition: _, id: __, ...blind } = write(id('k'), content('a'))
    const asked = { ...blind, ifAlone: true }
    const { record } = await n2.replicas.coordinate({ ...at(1), node: 'n2' }, id('k'), asked, options)
    expect(await n3.replicas.put(at(1), id('k'), record, options)).toEqual({ changed: true, alone: true })
    expect(await n3.replicas.coordinate(at(1), id('l'), asked, options)).not.toMatchObject({ declined: true })
    n1.host.mirrors.begin(1, 'n2')
    // What a node has that is only being filled came by this one.
    expect(await n3.replicas.put(at(1), id('i'), record, options)).toEqual({ changed: true, alone: true })
    expect(await n3.replicas.coordinate(at(1), id('j'), asked, options)).not.toMatchObject({ declined: true })
    await n1.host.mirrors.makeFirm(1, 'n2')
    expect(await n3.replicas.put(at(1), id('m'), record, options)).toEqual({ changed: true, alone: false })
    const declined = await n3.replicas.coordinate(at(1), id('n'), asked, options)
    expect(declined).toEqual({ record: EMPTY_RECORD, declined: true })
    expect(await heldBy(n1, 'n')).toEqual([])
    // Who goes by a list in which the new holder is asks that one itself.
    n1.host.mirrors.settle(1, 'n2', 5)
    expect(await n3.replicas.put(at(4), id('o'), record, options)).toEqual({ changed: true, alone: false })
    expect(await n3.replicas.put(at(5), id('p'), record, options)).toEqual({ changed: true, alone: true })
    expect(await n3.replicas.coordinate(at(4), id('q'), asked, options)).toMatchObject({ declined: true })
    expect(await n3.replicas.coordinate(at(5), id('r'), asked, options)).not.toMatchObject({ declined: true })
  })
})

it('a copy is firm only when what began before that has reached it, so that what was alone stays so', async () => {
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
    const options = { timeoutMs: 400, tellAlone: true }
    const { partition: _, id: __, ...blind } = write(id('k'), content('a'))
    const { mirrors } = n1.host
    for (const key of ['coordinated', 'put']) {
      mirrors.begin(1, 'n2')
      const { record } = await n2.host.coordinate(write(id(`${key} elsewhere`), content('a')))
      const writing =
        key === 'put'
          ? n1.replicas.put(at(1), id(key), record, options)
          : n1.replicas.coordinate(at(1), id(key), { ...blind, ifAlone: true }, options)
      expect(await mirrors.makeFirm(1, 'n2')).toBe(true)
      expect(await heldBy(n2, key)).toEqual(['a'])
      const told = await writing
      if ('alone' in told) expect(told.alone).toBe(true)
      else expect(told).not.toMatchObject({ declined: true })
      mirrors.end(1, 'n2')
    }
    await n3.write(at(1), id('z'), 'z')
  })
})

it('a write that does not reach the other node spoils a copy; it fails once that counts as a holder, and is noted for it', async () => {
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
    const { mirrors } = n1.host
    mirrors.begin(1, 'n2')
    atoll.network.partition(['n1'], ['n2'])
    await n3.write(at(1), id('a'), 'a')
    expect(await mirrors.makeFirm(1, 'n2')).toBe(false)
    atoll.network.heal()
    mirrors.begin(1, 'n2')
    expect(await mirrors.makeFirm(1, 'n2')).toBe(true)
    atoll.network.partition(['n1'], ['n2'])
    await expect(n3.write(at(1), id('b'), 'b')).rejects.toMatchObject({ definite: false })
    mirrors.settle(1, 'n2', 7)
    await expect(n3.write(at(6), id('c'), 'c')).rejects.toMatchObject({ definite: false })
    await n3.write(at(7), id('d'), 'd')
    // That it cannot be noted either does not make a write that is stored one that certainly is not.
    const hint = n1.host.hint
    n1.host.hint = () => Promise.reject(new AtollError('ATOLL_OVERLOADED', 'no turn for a note'))
    await expect(n3.write(at(6), id('e'), 'e')).rejects.toMatchObject({ definite: false })
    n1.host.hint = hint
    atoll.network.heal()
    expect(n1.host.hints.all()).toEqual([{ partition: 1, node: 'n2', keys: 2, isWhole: false }])
    const select = () => [{ node: 'n2', partition: 1 }]
    await n1.handoffs.deliverHints({ partition: 1, node: 'n2', select })
    for (const [key, held] of [
      ['a', []],
      ['b', ['b']],
      ['c', ['c']],
    ] as const)
      expect(await heldBy(n2, key)).toEqual(held)
  })
})

it('who lacks a write when it becomes a holder, or finds out later that it does, is owed the whole partition', async () => {
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
    const { hints, mirrors } = n1.host
    const select = () => [{ node: 'n2', partition: 1 }]
    const owed = [{ partition: 1, node: 'n2', keys: 0, isWhole: true }]
    for (const isSettledFirst of [false, true]) {
      const key = `settled ${isSettledFirst ? 'before' : 'after'}`
      mirrors.begin(1, 'n2')
      atoll.network.partition(['n1'], ['n2'])
      await n3.write(at(1), id(key), key)
      const arriving = [...(mirrors.of(1)?.get('n2')?.underWay ?? [])]
      expect(arriving).toHaveLength(1)
      if (isSettledFirst) mirrors.settle(1, 'n2', 5)
      await Promise.all(arriving)
      if (!isSettledFirst) mirrors.settle(1, 'n2', 5)
      expect(hints.all()).toEqual(owed)
      atoll.network.heal()
      // What comes from now on reaches it again, or is noted.
      await n3.write(at(4), id(`${key}, later`), 'later')
      expect(await heldBy(n2, `${key}, later`)).toEqual(['later'])
      expect(await heldBy(n2, key)).toEqual([])
      await n1.handoffs.deliverHints({ partition: 1, node: 'n2', select })
      expect(await heldBy(n2, key)).toEqual([key])
      expect(hints.all()).toEqual([])
      mirrors.end(1, 'n2')
    }
  })
})

it('a copy that has everything does not begin anew, and one that missed something, or was lost, does', async () => {
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const { mirrors } = atoll.node('n1').host
    expect(mirrors.isWhole(1, 'n2')).toBe(false)
    mirrors.begin(1, 'n2')
    expect(mirrors.isWhole(1, 'n2')).toBe(false)
    expect(await mirrors.makeFirm(1, 'n2')).toBe(true)
    expect(mirrors.isWhole(1, 'n2')).toBe(true)
    mirrors.lost('n3')
    expect(mirrors.isWhole(1, 'n2')).toBe(true)
    mirrors.lost('n2')
    expect(mirrors.isWhole(1, 'n2')).toBe(false)
    mirrors.begin(1, 'n2')
    mirrors.settle(1, 'n2', 5)
    // The document was faster than the copy, which ends now.
    expect(await mirrors.makeFirm(1, 'n2')).toBe(true)
    expect(mirrors.of(1)?.get('n2')?.stage).toBe(5)
  })
})

it('a deletion that only one of two holders knows is not undone, by a mirrored write or in an answer', async () => {
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
    const key = id('k', 'blocks')
    const { record } = await n1.host.coordinate(write(key, content('block')))
    const { record: deletion } = await n2.host.coordinate(write(key, content('', { tombstone: true })))
    const { mirrors } = n1.host
    mirrors.begin(1, 'n2')
    expect(await mirrors.makeFirm(1, 'n2')).toBe(true)
    mirrors.settle(1, 'n2', 5)
    expect(await n3.replicas.get(at(4), key, { timeoutMs: 400 })).toEqual({
      record: deletion,
      corrupt: false,
    })
    await n3.replicas.put(at(4), key, record, { timeoutMs: 400, isFresh: true })
    expect(await n2.host.get({ partition: 1, id: key })).toEqual({ record: deletion, corrupt: false })
    // A late repair merges on either.
    await n3.replicas.put({ ...at(5), node: 'n2' }, key, record, { timeoutMs: 400 })
    expect(await n2.host.get({ partition: 1, id: key })).toEqual({ record: deletion, corrupt: false })
  })
})

it('a holder hands on what is written by an old list only if it has seen all come to it since', async () => {
  const grown: Ownership = { epoch: 9, ownerOf: () => 'n1', grownAt: [0, 9, 0, 0, 0, 0, 0, 0] }
  await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
    const { host } = atoll.node('n1')
    const endpoint = { call: neverCalled, openStream: neverCalled, capabilitiesOf: () => undefined }
    const router = new VnodeRouter({ host, endpoint, ownership: () => grown })
    // One has come to the list before this node was opened, with epoch 5, and another one since.
    host.mirrors.watchFrom(7)
    const reads = (epoch: number) =>
      router.get(
        { partition: 1, id: id('k'), routing: { role: 'primary', epoch, forwards: 0, bySeal: false } },
        () => ({ timeoutMs: 400 }),
      )
    await expect(reads(8)).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE' })
    host.mirrors.begin(1, 'n2')
    host.mirrors.settle(1, 'n2', 8)
    expect(await reads(8)).toMatchObject({ record: undefined })
    host.mirrors.settle(1, 'n2', 9)
    await expect(reads(4)).rejects.toMatchObject({ code: 'ATOLL_UNREACHABLE' })
  })
})

it.each(['here', 'there'] as const)(
  'a read that fails %s first fails the reader and nothing else',
  async (where) => {
    await new Atoll(NAMES, OWNED_BY_N1).run(async (atoll) => {
      const [n1, n2, n3] = NAMES.map((name) => atoll.node(name)) as [Island, Island, Island]
      const { mirrors } = n1.host
      mirrors.begin(1, 'n2')
      expect(await mirrors.makeFirm(1, 'n2')).toBe(true)
      mirrors.settle(1, 'n2', 5)
      const [failing, slow] = where === 'here' ? [n1, n2] : [n2, n1]
      const get = slow.host.get.bind(slow.host)
      failing.host.get = () => Promise.reject(new AtollError('ATOLL_OVERLOADED', 'no turn for a read'))
      // The other one fails as well, when nobody waits for it any more.
      slow.host.get = async (request) => {
        await atoll.sleep(50)
        await get(request)
        throw new AtollError('ATOLL_STORAGE', 'a read that failed late')
      }
      const reading = n3.replicas.get(at(4), id('k'), { timeoutMs: 400 })
      await expect(reading).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED' })
      await atoll.sleep(100)
    })
  },
)

function neverCalled(): never {
  throw new Error('nobody else is to be asked')
}
