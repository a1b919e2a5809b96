import { utf8 } from '@atoll/core'
import { AbstractLevel } from 'abstract-level'
import { MemoryLevel } from 'memory-level'
import { describe, expect, it } from 'vitest'
import { BINARY, claimDatabase, openDatabase } from '../src/database.ts'
import { VnodeHost } from '../src/index.ts'
import { FORMAT_KEY, VnodeLayout } from '../src/layout.ts'
import {
  classicStore,
  content,
  id,
  makeHost,
  memoryStore,
  policyOf,
  STORES,
  testRuntime,
  valuesOf,
  write,
} from './world.ts'

/** A line of lives of which each follows on the one before. */
const LINE = { name: 'a', continues: true }

describe('options', () => {
  const make = (options: object) => () =>
    new VnodeHost(
      testRuntime(),
      { database: new MemoryLevel(), policyOf },
      { node: 'n1', partitions: 8, ...options },
    )

  it.each([
    [{ partitions: 12 }, RangeError, /power of two, got 12/],
    [{ partitions: 4 }, RangeError, /8 to 1024, got 4/],
    [{ partitions: '8' }, TypeError, /partitions must be a number/],
    [{ node: 'no spaces' }, RangeError, /node must be .*"no spaces"/],
    [{ queueBytes: 0 }, RangeError, /queueBytes .* got 0/],
    [{ batchBites: 1 }, TypeError, /no option "batchBites"/],
  ])('are refused by name: %j', (options, kind, message) => {
    expect(make(options)).toThrow(kind)
    expect(make(options)).toThrow(message)
  })
})

describe.each(STORES)('opening %s', (_name, makeStore) => {
  it('gives no dot of an actor of another life, unless it is told that this one goes on', async () => {
    const store = makeStore()
    const lives = [undefined, LINE, LINE, { ...LINE, continues: false }, LINE, { ...LINE, name: 'b' }]
    const actors: (string | undefined)[] = []
    let database = store.database
    for (const life of lives) {
      const lineage = life && (() => life)
      const host = new VnodeHost(
        testRuntime(),
        { database, policyOf, lineage },
        { node: 'n1', partitions: 8 },
      )
      await host.open()
      const { record } = await host.coordinate(write(id(`k${actors.length}`), content('one')))
      actors.push(record.siblings[0]?.dot.actor)
      await host.close()
      database = store.again()
    }
    store.dispose()
    const [first, second, third, fourth, fifth, sixth] = actors
    expect(third).toBe(second)
    expect(fifth).toBe(fourth)
    expect(new Set([first, second, fourth, sixth]).size).toBe(4)
  })

  it('makes every vnode a new actor when another life may have given dots', async () => {
    const store = makeStore()
    const host = makeHost(store.database)
    await host.open()
    const first = await host.coordinate(write(id('k'), content('one')))
    host.renewActors()
    const second = await host.coordinate(write(id('l'), content('two')))
    expect(second.record.siblings[0]?.dot.actor).not.toBe(first.record.siblings[0]?.dot.actor)
    await host.close()
    store.dispose()
  })

  it('does the last thing before the database is closed, when all writes are on disk', async () => {
    const store = makeStore()
    const { database } = store
    const seen: unknown[] = []
    const key = new VnodeLayout(1).dataKey(id('k'))
    const beforeClose = async () => {
      seen.push(database.status, (await database.get(key, BINARY)) !== undefined)
    }
    const host = new VnodeHost(
      testRuntime(),
      { database, policyOf, beforeClose },
      { node: 'n1', partitions: 8 },
    )
    await host.open()
    const writing = host.coordinate(write(id('k'), content('one')))
    await host.close()
    await writing
    expect(seen).toEqual(['open', true])
    store.dispose()
  })

  it('finds again what was written, with dots that go on', async () => {
    const store = makeStore()
    const first = makeHost(store.database)
    await first.open()
    await first.coordinate(write(id('k'), content('one')))
    await first.close()
    const second = makeHost(store.again())
    await second.open()
    const { record } = await second.coordinate(write(id('k'), content('two')))
    expect(valuesOf(record)).toEqual(['one', 'two'])
    const [one, two] = record.siblings.map(({ dot }) => dot)
    expect(two?.actor).toBe(one?.actor)
    expect([one?.counter, two?.counter]).toEqual([1, 10_001])
    await second.close()
    store.dispose()
  })

  it('can be done again after closing', async () => {
    const store = makeStore()
    const host = makeHost(store.database)
    await host.open()
    await host.coordinate(write(id('k'), content('one')))
    await host.close()
    await expect(host.get({ partition: 1, id: id('k') })).rejects.toMatchObject({ code: 'ATOLL_CLOSED' })
    await host.open()
    expect(valuesOf((await host.get({ partition: 1, id: id('k') })).record)).toEqual(['one'])
    await host.close()
    store.dispose()
  })

  it('waits with closing for writes under way', async () => {
    const store = makeStore()
    const host = makeHost(store.database)
    await host.open()
    const writing = Array.from({ length: 20 }, (_, at) => host.coordinate(write(id(`k${at}`), content('v'))))
    await host.close()
    await Promise.all(writing)
    await host.open()
    expect(await host.count(1)).toBe(20)
    await host.close()
    store.dispose()
  })

  it.each([
    ['another node', {}, { node: 'n2' }, /belongs to node n1, not to n2/],
    ['a larger ring', { partitions: 16 }, { partitions: 8 }, /ring of 16 partitions, not of 8/],
  ])('refuses the data of %s', async (_what, first, options, message) => {
    const store = makeStore()
    const host = makeHost(store.database, testRuntime(), first)
    await host.open()
    await host.close()
    const other = makeHost(store.again(), testRuntime(), options)
    await expect(other.open()).rejects.toMatchObject({
      code: 'ATOLL_FORMAT',
      message: expect.stringMatching(message),
    })
    await other.close()
    store.dispose()
  })

  it.each([
    ['of another program', utf8('their key'), utf8('their value')],
    ['of another program with a sublevel of the same name', FORMAT_KEY, utf8('their value')],
  ])('refuses data %s, and leaves it as it is', async (_what, key, value) => {
    const store = makeStore()
    await store.database.batch([{ type: 'put', key, value }], { ...BINARY, sync: true })
    await store.database.close()
    const database = store.again()
    await expect(makeHost(database).open()).rejects.toMatchObject({ code: 'ATOLL_FORMAT' })
    const after = store.again()
    await after.open()
    const iterator = after.keys({ ...BINARY, gte: new Uint8Array(0) })
    expect((await iterator.nextv(10)).map((found) => Buffer.from(found).toString())).toEqual([
      Buffer.from(key).toString(),
    ])
    await iterator.close()
    await after.close()
    store.dispose()
  })
})

it('refuses a newer format', async () => {
  const { database } = memoryStore()
  const runtime = testRuntime()
  await openDatabase(database)
  await claimDatabase(database, { node: 'n1', partitions: 8 }, runtime.digest.crc32)
  const stored = new Uint8Array((await database.get(FORMAT_KEY, BINARY))!)
  stored[0] = 6
  const sum = runtime.digest.crc32(stored.subarray(0, -4), runtime.digest.crc32(FORMAT_KEY))
  new DataView(stored.buffer).setUint32(stored.length - 4, sum)
  await database.batch([{ type: 'put', key: FORMAT_KEY, value: stored }], { ...BINARY, sync: true })
  await expect(makeHost(database).open()).rejects.toMatchObject({
    code: 'ATOLL_FORMAT',
    message: expect.stringMatching(/version 6/),
  })
})

it('refuses a directory that is in use, and opens it afterwards', async () => {
  const store = classicStore()
  const first = makeHost(store.database)
  await first.open()
  const second = makeHost(store.again())
  await expect(second.open()).rejects.toMatchObject({ code: 'ATOLL_LOCKED', transient: true })
  await first.close()
  await second.open()
  await second.close()
  store.dispose()
})

it('names the feature that a database lacks', async () => {
  class NoSnapshots extends AbstractLevel<Uint8Array> {
    constructor() {
      super({ encodings: { view: true }, snapshots: false })
    }
  }
  await expect(makeHost(new NoSnapshots()).open()).rejects.toMatchObject({
    code: 'ATOLL_STORE_UNSUPPORTED',
    details: { feature: 'snapshots' },
  })
  const text = new MemoryLevel({ storeEncoding: 'utf8' })
  await expect(makeHost(text).open()).rejects.toMatchObject({
    code: 'ATOLL_STORE_UNSUPPORTED',
    details: { feature: 'binary keys and values' },
  })
})

it('says so if the database cannot be opened', async () => {
  class Broken extends MemoryLevel {
    async _open() {
      throw new Error('no such disk')
    }
  }
  await expect(makeHost(new Broken()).open()).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: true })
})
