import { EMPTY_RECORD, writeOnceRecord } from '@atoll/causality'
import { utf8 } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { VnodeHost } from '../src/index.ts'
import { VnodeLayout } from '../src/layout.ts'
import type { Operation } from '../src/ports.ts'
import {
  collect,
  content,
  id,
  inHex,
  makeHost,
  STORES,
  type TestRuntime,
  type TestStore,
  testRuntime,
  valuesOf,
  write,
} from './world.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

describe.each(STORES)('vnodes on %s', (_name, makeStore) => {
  let store: TestStore
  let runtime: TestRuntime
  let host: VnodeHost

  beforeEach(async () => {
    store = makeStore()
    runtime = testRuntime()
    host = makeHost(store.database, runtime)
    await host.open()
  })

  afterEach(async () => {
    await host.close()
    store.dispose()
  })

  it('answers what was written, and nothing for what was not', async () => {
    const { record } = await host.coordinate(write(id('k'), content('one')))
    expect(valuesOf(record)).toEqual(['one'])
    expect(await host.get({ partition: 1, id: id('k') })).toEqual({ record, corrupt: false })
    const nothing = { record: undefined, corrupt: false }
    expect(await host.get({ partition: 2, id: id('k') })).toEqual(nothing)
    expect(await host.get({ partition: 1, id: id('other') })).toEqual(nothing)
    expect(await host.get({ partition: 1, id: id('k', 'lww') })).toEqual(nothing)
  })

  it('keeps blind writes as siblings and replaces what was seen', async () => {
    await host.coordinate(write(id('k'), content('one')))
    const two = await host.coordinate(write(id('k'), content('two')))
    expect(valuesOf(two.record)).toEqual(['one', 'two'])
    const three = await host.coordinate(write(id('k'), content('three'), 1, two.record))
    expect(valuesOf(three.record)).toEqual(['three'])
  })

  it('writes if alone only over what the context covers, and says what a merge has met', async () => {
    const alone = { ifAlone: true }
    const one = await host.coordinate({ ...write(id('k'), content('one')), ...alone })
    expect(one.declined).toBe(false)
    const two = await host.coordinate({ ...write(id('k'), content('two')), ...alone })
    expect(two).toEqual({ record: EMPTY_RECORD, declined: true })
    const three = await host.coordinate({ ...write(id('k'), content('three'), 1, one.record), ...alone })
    expect(three.declined).toBe(false)
    expect(valuesOf(three.record)).toEqual(['three'])

    const put = (record = three.record, partition = 2) =>
      host.put({ partition, id: id('k'), record, tellAlone: true })
    expect(await put()).toEqual({ changed: true, alone: true })
    expect(await put()).toEqual({ changed: false, alone: true })
    expect(await put(one.record)).toEqual({ changed: false, alone: false })
    const { record: other } = await host.coordinate(write(id('k'), content('other'), 3))
    expect(await put(other)).toEqual({ changed: true, alone: false })
    expect(await put(other, 3)).toEqual({ changed: false, alone: true })
    expect(await host.put({ partition: 3, id: id('k'), record: other })).toEqual({ changed: false })
  })

  it('keeps one value with last-write-wins', async () => {
    await host.coordinate(write(id('k', 'lww'), content('one')))
    const two = await host.coordinate(write(id('k', 'lww'), content('two')))
    expect(valuesOf(two.record)).toEqual(['two'])
  })

  it('merges records of other replicas, and says whether they told anything', async () => {
    const here = await host.coordinate(write(id('k'), content('here'), 1))
    const there = await host.coordinate(write(id('k'), content('there'), 2))
    expect(await host.put({ partition: 1, id: id('k'), record: there.record })).toEqual({ changed: true })
    expect(await host.put({ partition: 1, id: id('k'), record: here.record })).toEqual({ changed: false })
    const { record } = await host.get({ partition: 1, id: id('k') })
    expect(valuesOf(record).sort()).toEqual(['here', 'there'])
  })

  it('tells a write accepted before it is durable', async () => {
    const { record } = await host.coordinate(write(id('k'), content('v'), 2))
    const events: string[] = []
    const put = host.put(
      { partition: 1, id: id('k'), record },
      { onAccepted: () => void events.push('accepted') },
    )
    await put.then(() => events.push('durable'))
    expect(events).toEqual(['accepted', 'durable'])
  })

  it('never overlooks an accepted write when reading', async () => {
    const { record } = await host.coordinate(write(id('k'), content('v'), 2))
    const read = new Promise((resolve) => {
      const onAccepted = () => resolve(host.get({ partition: 1, id: id('k') }))
      void host.put({ partition: 1, id: id('k'), record }, { onAccepted })
    })
    expect(await read).toEqual({ record, corrupt: false })
  })

  it('writes write-once records whatever is there, and looks only what that is', async () => {
    const reads: string[] = []
    const get = store.database.get.bind(store.database)
    store.database.get = (key, options) => {
      reads.push(Buffer.from(key).toString())
      return get(key, options)
    }
    const getSync = store.database.getSync?.bind(store.database)
    store.database.getSync = (key, options) => {
      reads.push(Buffer.from(key).toString())
      return getSync?.(key, options)
    }
    const { record } = await host.coordinate(write(id('k', 'blocks'), content('block')))
    expect(record).toEqual(
      writeOnceRecord(content('block'), record.siblings[0]!.valueCrc32, record.siblings[0]!.writeId),
    )
    const fresh = { partition: 1, id: id('k', 'blocks'), record, isFresh: true }
    expect(await host.put(fresh)).toEqual({ changed: true, released: true })
    const key = Buffer.from(new VnodeLayout(1).dataKey(id('k', 'blocks'))).toString()
    expect(reads).toEqual([key, key])
    expect(await host.get({ partition: 1, id: id('k', 'blocks') })).toEqual({ record, corrupt: false })
    expect(reads).toHaveLength(3)
  })

  it('writes no write-once record over a deletion unless a client does', async () => {
    const key = id('k', 'blocks')
    const { record } = await host.coordinate(write(key, content('block')))
    const { record: deletion } = await host.coordinate(write(key, content('', { tombstone: true })))
    expect(await host.put({ partition: 1, id: key, record })).toEqual({ changed: false })
    expect(await host.get({ partition: 1, id: key })).toEqual({ record: deletion, corrupt: false })
    expect(await host.put({ partition: 1, id: key, record, isFresh: true })).toEqual({
      changed: true,
      released: true,
    })
    expect(await host.get({ partition: 1, id: key })).toEqual({ record, corrupt: false })
    // Of any other type a fresh record is merged as every other.
    const { record: older } = await host.coordinate(write(id('k'), content('a')))
    const { record: newer } = await host.coordinate(write(id('k'), content('b'), 1, older))
    expect(await host.put({ partition: 1, id: id('k'), record: older, isFresh: true })).toEqual({
      changed: false,
    })
    expect(await host.get({ partition: 1, id: id('k') })).toEqual({ record: newer, corrupt: false })
  })

  it('heals a damaged write-once record with a repair', async () => {
    const key = id('k', 'blocks')
    const { record } = await host.coordinate(write(key, content('block')))
    const [stored] = await store.database.keys({ ...VIEW, ...new VnodeLayout(1).heads.range }).nextv(1)
    if (stored === undefined) throw new Error('a record is stored')
    const damaged = { type: 'put', key: stored, value: new Uint8Array(20) } as const
    await store.database.batch([damaged], { ...VIEW, sync: false })
    expect(await host.get({ partition: 1, id: key })).toEqual({ record: undefined, corrupt: true })
    expect(await host.put({ partition: 1, id: key, record })).toEqual({ changed: true })
    expect(await host.get({ partition: 1, id: key })).toEqual({ record, corrupt: false })
  })

  it('lies in plain sublevels: head and meta of each partition, and the index of the node', async () => {
    const indexed = content('v', {
      indexes: [{ index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('p') }],
    })
    await host.coordinate(write(id('k'), indexed, 5))
    const keysOf = async (...path: string[]) => {
      const level = (
        store.database as import('abstract-level').AbstractLevel<Uint8Array, string, string>
      ).sublevel(path)
      await level.open()
      return level.keys().all()
    }
    const key = Buffer.from(new VnodeLayout(5).dataKey(id('k'))).toString()
    expect(await keysOf('0005', 'head')).toEqual([key.slice('!0005!!head!'.length)])
    expect(await keysOf('meta', 'index')).toEqual([
      'default\0\u0001list\0\u0001s\0\u0001t\0\u0001b\0\u0001k\0\u0001\0\u0005',
    ])
    expect(await keysOf('0005', 'meta')).toEqual(['incarnation'])
    expect((await keysOf('meta')).filter((key) => !key.startsWith('!index!'))).toEqual([
      'count!kept',
      'count!slip!0001',
      'format',
    ])
    expect(await keysOf('0004', 'data')).toEqual([])
  })

  it('counts, folds and drops partitions', async () => {
    for (const key of ['c', 'a', 'b']) await host.coordinate(write(id(key), content(key), 3))
    await host.coordinate(write(id('z'), content('z'), 4))
    expect(await host.partitions()).toEqual([3, 4])
    expect(await host.count(3)).toBe(3)
    const folded = await collect(host.fold(3))
    expect(folded.map((item) => [item.id, valuesOf(item.record)])).toEqual(
      ['a', 'b', 'c'].map((key) => [id(key), [key]]),
    )
    await host.drop(3)
    expect(await host.partitions()).toEqual([4])
    expect(await host.count(3)).toBe(0)
    expect(await host.get({ partition: 3, id: id('a') })).toEqual({ record: undefined, corrupt: false })
    expect(valuesOf((await host.get({ partition: 4, id: id('z') })).record)).toEqual(['z'])
  })
})

it('writes large values that do not change any more from where they are, where the database can', async () => {
  const batches: Operation[][] = []
  class InParts extends MemoryLevel<Uint8Array, Uint8Array> {
    batchBytes(operations: readonly Operation[], options: { sync: boolean }) {
      batches.push([...operations])
      const joined = operations.map((operation) =>
        operation.type === 'put' && operation.tail !== undefined
          ? { ...operation, value: Buffer.concat([operation.value, operation.tail]), ...VIEW }
          : { ...operation, ...VIEW },
      )
      return this.batch(joined, { ...VIEW, ...options })
    }
  }
  const inParts = makeHost(new InParts({ ...VIEW, storeEncoding: 'view' }))
  await inParts.open()
  const large = new Uint8Array(100_000).fill(3)
  for (const type of ['blocks', 'default']) {
    const key = id('k', type)
    const { record } = await inParts.coordinate(write(key, content(large)))
    const read = await inParts.get({ partition: 1, id: key })
    expect({ ...read, record: inHex(read.record) }).toEqual({ record: inHex(record), corrupt: false })
  }
  const tails = batches.flat().flatMap((put) => (put.type === 'put' && put.tail) || [])
  expect(tails).toHaveLength(1)
  expect(tails[0]?.length).toBe(large.length)
  // What another vnode has brought does not change either, of whatever type it is.
  const { record } = await inParts.get({ partition: 1, id: id('k', 'default') })
  batches.length = 0
  await inParts.handoffOf(2).merge(id('k', 'default'), record!)
  const values = record!.siblings.map(({ value }) => value)
  expect(batches.flat().flatMap((put) => (put.type === 'put' && put.tail) || [])).toEqual(values)
  expect(inHex((await inParts.get({ partition: 2, id: id('k', 'default') })).record)).toEqual(inHex(record))
  await inParts.close()
})
