import type { StoredRecord } from '@atoll/causality'
import { equalBytes, toHex, utf8 } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { createWorld } from '@atoll/sim'
import { describe, expect, it } from 'vitest'
import { BINARY } from '../src/database.ts'
import type { Database, VnodeHost } from '../src/index.ts'
import { bodyKeyOf, FORMAT_KEY, olderKeyOf, VnodeLayout } from '../src/layout.ts'
import { expectCounts } from './counts.ts'
import { headsOf, noteFormatOf, rowsIn, withHeadsByName } from './older-formats.ts'
import {
  classicStore,
  collect,
  content,
  id,
  inHex,
  makeHost,
  memoryStore,
  STORES,
  testRuntime,
  valuesOf,
  write,
} from './world.ts'

const SYNC = { ...BINARY, sync: true }
const ONE = new VnodeLayout(1)
const APART = { inlineBytes: 100 }
const NAMES = Array.from({ length: 120 }, (_, number) => `k${1000 + number}`)
const at = (name: string, type = 'default') => ({ partition: 1, id: id(name, type) })
const bodyOf = (fill: number, bytes: number) => new Uint8Array(bytes).fill(fill)
const isLarge = (number: number) => number % 3 === 0
const valueAt = (number: number) => bodyOf(number, isLarge(number) ? 2000 : 20)

/** A database as the fourth format has left it, with records of two types. */
async function olderStore(makeStore = memoryStore, names: readonly string[] = NAMES) {
  const store = makeStore()
  const before = makeHost(store.database, testRuntime(), APART)
  await before.open()
  for (const [number, name] of names.entries())
    await before.coordinate(
      write(id(name, number % 2 === 0 ? 'default' : 'blocks'), content(valueAt(number))),
    )
  await before.close()
  const database = store.again()
  await database.open()
  expect(await withHeadsByName(database)).toBe(names.length)
  await database.close()
  return store
}

/** A database that cannot read what lies under a key. */
function withUnreadable(database: Database, lost: Uint8Array): Database {
  return new Proxy(database, {
    get: (target, name) => {
      if (name === 'supports') return { ...target.supports, getSync: false }
      if (name === 'get')
        return async (key: Uint8Array, options: typeof BINARY) => {
          if (equalBytes(key, lost) && (await target.get(key, options)) !== undefined)
            throw Object.assign(new Error('a block is damaged'), { code: 'LEVEL_CORRUPTION' })
          return target.get(key, options)
        }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

const typeOf = (number: number) => (number % 2 === 0 ? 'default' : 'blocks')

async function expectAll(host: VnodeHost, names: readonly string[] = NAMES): Promise<void> {
  for (const [number, name] of names.entries()) {
    const { record, corrupt } = await host.get(at(name, typeOf(number)))
    expect(corrupt).toBe(false)
    expect(record?.siblings.map(({ value }) => value)).toEqual([valueAt(number)])
  }
  expect(await host.count(1)).toBe(names.length)
  expect(await collect(host.fold(1))).toHaveLength(names.length)
}

/** Nothing but heads by segments. */
async function expectConverted(host: VnodeHost, database: Parameters<typeof rowsIn>[0]): Promise<void> {
  await host.converted
  const { older } = await headsOf(database)
  expect(older).toBe(0)
}

describe('records of a build before, which lie by their names', () => {
  it.each(STORES)(
    'are all there in %s from the first moment, and afterwards by segments',
    async (_, makeStore) => {
      const store = await olderStore(makeStore)
      const database = store.again()
      const runtime = testRuntime()
      const host = makeHost(database, runtime, APART)
      await host.open()
      await expectAll(host)
      expect(await host.partitions()).toEqual([1])
      expect(await host.holdsType(1, 'blocks')).toBe(true)
      const bodies = await rowsIn(database, ONE.bodies.range)
      await expectConverted(host, database)
      await expectAll(host)
      await expectCounts(host)
      expect(runtime.metrics.value('atoll_vnode_converted_records_total')).toBe(NAMES.length)
      // Values that lie apart stay where they are.
      expect((await rowsIn(database, ONE.bodies.range)).map(([key]) => toHex(key))).toEqual(
        bodies.map(([key]) => toHex(key)),
      )
      await host.close()
      const again = makeHost(store.again(), testRuntime(), APART)
      await again.open()
      await expectAll(again)
      await again.close()
      store.dispose()
    },
  )

  it('are what was written meanwhile: no write, deletion or removal of that time is lost or undone', async () => {
    let during = 0
    for (let seed = 0; seed < 6; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const before = makeHost(disk.open(), runtime, APART)
        await before.open()
        for (const [number, name] of NAMES.entries())
          await before.coordinate(write(id(name), content(valueAt(number))))
        await before.close()
        const old = disk.open()
        await old.open()
        await withHeadsByName(old)
        await old.close()
        const database = disk.open()
        const host = makeHost(database, runtime, APART)
        await host.open()
        let settled = false
        void host.converted.then(() => {
          settled = true
        })
        const expected = new Map<string, StoredRecord | undefined>()
        const changing = NAMES.map(async (name, number) => {
          await runtime.clock.sleep(runtime.random.below(60))
          if (!settled) during += 1
          const { record } = await host.get(at(name))
          const change = number % 4
          if (change === 0) return
          if (change === 3) {
            const [entry] = (await pageOf(host)).filter((one) => equalBytes(one.id.key, utf8(name)))
            if (entry !== undefined && (await host.handoffOf(1).remove(entry))) expected.set(name, undefined)
            return
          }
          const what =
            change === 1 ? content(bodyOf(9, 20 + 1500 * (number % 2))) : content('', { tombstone: true })
          expected.set(name, (await host.coordinate(write(id(name), what, 1, record))).record)
        })
        await Promise.all(changing)
        await expectConverted(host, database)
        for (const [number, name] of NAMES.entries()) {
          const { record, corrupt } = await host.get(at(name))
          expect(corrupt).toBe(false)
          if (!expected.has(name)) expect(record?.siblings[0]?.value).toEqual(valueAt(number))
          else {
            const known = expected.get(name)
            expect(record && inHex(record)).toEqual(known && inHex(known))
          }
        }
        const { heads } = await headsOf(database)
        expect(heads).toBe(NAMES.filter((name) => !expected.has(name) || expected.get(name)).length)
        await expectCounts(host)
        await host.close()
      })
    }
    expect(during).toBeGreaterThan(100)
  })

  it('are in one of the two places after a power cut at any time, and the next open goes on', async () => {
    let cutBetween = 0
    for (let seed = 0; seed < 12; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const before = makeHost(disk.open(), runtime, APART)
        await before.open()
        for (const [number, name] of NAMES.entries())
          await before.coordinate(write(id(name, typeOf(number)), content(valueAt(number))))
        await before.close()
        const old = disk.open()
        await old.open()
        await withHeadsByName(old)
        await old.close()
        for (let life = 0; life < 3; life++) {
          const host = makeHost(disk.open(), runtime, APART)
          await host.open()
          await runtime.clock.sleep(runtime.random.below(30_000) / 1000)
          disk.crash()
          await host.close().catch(() => {})
          const look = disk.open()
          await look.open()
          const { heads, older } = await headsOf(look)
          expect(heads + older).toBe(NAMES.length)
          if (heads > 0 && older > 0) cutBetween += 1
          await look.close()
        }
        const database = disk.open()
        const host = makeHost(database, runtime, APART)
        await host.open()
        await expectAll(host)
        await expectConverted(host, database)
        await expectAll(host)
        await host.close()
      })
    }
    expect(cutBetween).toBeGreaterThan(3)
  })

  it('are met once or twice, and never missed, by who walks over them page by page', async () => {
    let moved = 0
    for (let seed = 0; seed < 8; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const before = makeHost(disk.open(), runtime)
        await before.open()
        const names = Array.from({ length: 600 }, (_, number) => `k${number}`)
        for (const name of names) await before.coordinate(write(id(name), content('v')))
        await before.close()
        const old = disk.open()
        await old.open()
        await withHeadsByName(old)
        await old.close()
        const database = disk.open()
        const host = makeHost(database, runtime)
        await host.open()
        const vnode = host.handoffOf(1)
        const seen = new Set<string>()
        for (let cursor: Uint8Array | undefined; ; ) {
          const { records, next } = await vnode.page(cursor, { pageRecords: 20, pageBytes: 100_000 })
          for (const record of records) seen.add(toHex(record.id.key))
          if (next === undefined) break
          cursor = next
          await runtime.clock.sleep(runtime.random.below(4))
          const { heads, older } = await headsOf(database)
          if (heads > 0 && older > 0) moved += 1
        }
        expect(seen.size).toBe(names.length)
        await host.close()
      })
    }
    expect(moved).toBeGreaterThan(8)
  })

  it('are dropped with their partition, and filed by more partitions, before they are converted', async () => {
    const store = await olderStore()
    const host = makeHost(store.again(), testRuntime(), APART)
    await host.open()
    await host.drop(1)
    expect(await host.count(1)).toBe(0)
    expect(await rowsIn(store.database, ONE.bodies.range)).toHaveLength(0)
    await expectConverted(host, store.database)
    await expectCounts(host)
    await host.close()

    const other = memoryStore()
    const before = makeHost(other.database, testRuntime(), APART)
    await before.open()
    const { sha1 } = testRuntime().digest
    const home = (name: string, partitions: number) => partitionOf(id(name), partitions, sha1)
    for (const [number, name] of NAMES.entries())
      await before.coordinate(write(id(name), content(valueAt(number)), home(name, 8)))
    await before.close()
    await other.database.open()
    await withHeadsByName(other.database)
    await other.database.close()
    const grown = makeHost(other.again(), testRuntime(), { ...APART, partitions: 16 })
    await grown.open()
    for (const [number, name] of NAMES.entries()) {
      const { record } = await grown.get({ partition: home(name, 16), id: id(name) })
      expect(record?.siblings.map(({ value }) => value)).toEqual([valueAt(number)])
    }
    await grown.converted
    expect(await headsOf(other.database, 16)).toEqual({ heads: NAMES.length, older: 0 })
    for (const name of NAMES)
      expect((await grown.get({ partition: home(name, 16), id: id(name) })).record).toBeDefined()
    await expectCounts(grown)
    await grown.close()
  })

  it('move as they are where they are damaged, and are damaged still', async () => {
    const store = await olderStore()
    const { database } = store
    await database.open()
    const [head, value, short] = [0, 2, 4].map((number) => olderKeyOf(ONE.dataKey(id(NAMES[number]!))))
    for (const [key, offset] of [
      [head!, 12],
      [value!, -1],
    ] as const) {
      const bytes = new Uint8Array((await database.get(key, BINARY))!)
      const byte = (offset + bytes.length) % bytes.length
      bytes[byte] = bytes[byte]! ^ 1
      await database.batch([{ type: 'put', key, value: bytes }], SYNC)
    }
    await database.batch([{ type: 'put', key: short!, value: new Uint8Array(3) }], SYNC)
    await database.close()
    const host = makeHost(store.again(), testRuntime(), APART)
    await host.open()
    await expectConverted(host, database)
    for (const number of [0, 2, 4])
      expect(await host.get(at(NAMES[number]!))).toEqual({ record: undefined, corrupt: true })
    expect((await host.get(at(NAMES[6]!))).corrupt).toBe(false)
    await host.coordinate(write(id(NAMES[0]!), content('healed')))
    expect(valuesOf((await host.get(at(NAMES[0]!))).record)).toEqual(['healed'])
    await host.close()
  })

  it('stay where they are if the database cannot read them, until they are written anew', async () => {
    const store = await olderStore()
    const lost = olderKeyOf(ONE.dataKey(id(NAMES[0]!)))
    const { database } = store
    const host = makeHost(withUnreadable(database, lost), testRuntime(), APART)
    await host.open()
    await host.converted
    expect(await headsOf(database)).toEqual({ heads: NAMES.length - 1, older: 1 })
    expect(await host.get(at(NAMES[0]!))).toEqual({ record: undefined, corrupt: true })
    expect((await host.get(at(NAMES[2]!))).corrupt).toBe(false)
    await host.coordinate(write(id(NAMES[0]!), content('healed')))
    expect(await headsOf(database)).toEqual({ heads: NAMES.length, older: 0 })
    await host.close()
    const again = makeHost(store.again(), testRuntime(), APART)
    await again.open()
    await again.converted
    expect(valuesOf((await again.get(at(NAMES[0]!))).record)).toEqual(['healed'])
    await again.close()
  })

  it('are found by notes and hints of that build, and their transfer goes on from its cursor', async () => {
    const store = memoryStore()
    const before = makeHost(store.database, testRuntime())
    await before.open()
    const [early, late] = ['a', 'z']
    for (const name of [early, late]) await before.coordinate(write(id(name!), content(name!)))
    const request = { ...write(id('m'), content('m')), hintFor: ['n2'] }
    await before.coordinate(request)
    await before.handoffOf(1).saveTransfer({
      to: 'n3',
      phase: 'copy',
      // What the build before has written down, when it had sent all up to the first record.
      cursor: ONE.cursorOf(olderKeyOf(ONE.dataKey(id(early!)))),
      isReturn: false,
    })
    await before.close()
    await store.database.open()
    await withHeadsByName(store.database)
    const note = ONE.noteKey(ONE.dataKey(id(early!)))
    await store.database.batch([{ type: 'put', key: note, value: new Uint8Array([1]) }], SYNC)
    await store.database.close()
    for (const isConverted of [false, true]) {
      const runtime = testRuntime()
      const host = makeHost(store.again(), runtime)
      await host.open()
      if (isConverted) await host.converted
      const limits = { pageRecords: 10, pageBytes: 100_000 }
      const vnode = host.handoffOf(1)
      const keysOf = (page: { records: readonly { id: { key: Uint8Array } }[] }) =>
        page.records.map(({ id: of }) => Buffer.from(of.key).toString()).sort()
      expect(keysOf(await vnode.notedPage(undefined, limits))).toEqual(['a'])
      expect(keysOf(await vnode.hintedPage('n2', undefined, limits))).toEqual(['m'])
      const { cursor } = (await vnode.readTransfer())!
      const behind = keysOf(await vnode.page(cursor, limits))
      expect(behind).toEqual(isConverted ? ['a', 'm', 'z'] : expect.arrayContaining(['m', 'z']))
      await host.close()
    }
  })

  it('are counted behind their conversion, where nobody has counted them', async () => {
    const store = await olderStore()
    const { database } = store
    await database.open()
    const counts = { gte: utf8('!meta!count'), lt: utf8('!meta!couou') }
    const rows = await rowsIn(database, counts)
    await database.batch(
      rows.map(([key]) => ({ type: 'del', key }) as const),
      SYNC,
    )
    await database.close()
    const host = makeHost(store.again(), testRuntime(), APART)
    await host.open()
    await host.counted
    expect(host.stored.counting).toBe(0)
    await expectCounts(host)
    await host.close()
  })

  it('are counted also where some of them stay because they cannot be read', async () => {
    const store = await olderStore()
    const { database } = store
    await database.open()
    const rows = await rowsIn(database, { gte: utf8('!meta!count'), lt: utf8('!meta!couou') })
    await database.batch(
      rows.map(([key]) => ({ type: 'del', key }) as const),
      SYNC,
    )
    await database.close()
    const lost = olderKeyOf(ONE.dataKey(id(NAMES[60]!)))
    const host = makeHost(withUnreadable(database, lost), testRuntime(), APART)
    await host.open()
    await host.counted
    expect(await headsOf(database)).toEqual({ heads: NAMES.length - 1, older: 1 })
    expect(host.stored).toMatchObject({ counting: 0, records: NAMES.length })
    // What cannot be read counts by its key, until it is written anew.
    const before = host.stored.bytes
    await host.coordinate(write(id(NAMES[60]!), content('healed')))
    await host.counted
    expect(host.stored).toMatchObject({ counting: 0, records: NAMES.length, bytes: before + 'healed'.length })
    await expectCounts(host)
    await host.close()
  })

  it('cost no second look once they are converted, and a program before refuses the database', async () => {
    const store = await olderStore(classicStore, NAMES.slice(0, 3))
    const first = makeHost(store.again(), testRuntime(), APART)
    await first.open()
    await first.converted
    await first.close()
    const database = store.again()
    const asked: string[] = []
    const watched = new Proxy(database, {
      get: (target, name) => {
        if (name === 'supports') return { ...target.supports, getSync: false }
        if (name === 'get')
          return (key: Uint8Array, options: typeof BINARY) => {
            asked.push(toHex(key))
            return target.get(key, options)
          }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const host = makeHost(watched, testRuntime(), APART)
    await host.open()
    await host.converted
    asked.length = 0
    await host.get(at(NAMES[2]!))
    expect(asked).toEqual([toHex(ONE.dataKey(id(NAMES[2]!)))])
    await host.get(at(NAMES[0]!))
    expect(asked.slice(1)).toEqual([
      toHex(ONE.dataKey(id(NAMES[0]!))),
      toHex(bodyKeyOf(ONE.dataKey(id(NAMES[0]!)))),
    ])
    await host.close()
    // A program that knows a later format has been here.
    const direct = store.again()
    await direct.open()
    const note = (await direct.get(FORMAT_KEY, BINARY))!
    expect(note[0]).toBe(5)
    await noteFormatOf(direct, 6, [8, true, true, true])
    await direct.close()
    await expect(makeHost(store.again(), testRuntime()).open()).rejects.toMatchObject({
      code: 'ATOLL_FORMAT',
    })
    store.dispose()
  })

  it('wait while the disk is nearly full, and are read meanwhile', async () => {
    const store = await olderStore()
    const database = Object.assign(store.again(), { hasRoom: () => false })
    const runtime = testRuntime()
    const host = makeHost(database, runtime, APART)
    await host.open()
    await expectAll(host)
    expect((await headsOf(database)).older).toBe(NAMES.length)
    await host.close()
    const again = makeHost(Object.assign(database, { hasRoom: () => true }), testRuntime(), APART)
    await again.open()
    await expectConverted(again, database)
    await expectAll(again)
    await again.close()
  })
})

async function pageOf(host: VnodeHost) {
  return (await host.handoffOf(1).page(undefined, { pageRecords: 1000, pageBytes: 1 << 20 })).records
}
