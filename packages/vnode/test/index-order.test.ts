import { clockDigest, type StoredRecord, visibleIndexEntries } from '@atoll/causality'
import { encodeTuple, type KeyId, toHex, utf8 } from '@atoll/core'
import { partitionOf } from '@atoll/ring'
import { createWorld, type SimDisk, type SimRuntime } from '@atoll/sim'
import { describe, expect, it } from 'vitest'
import { BINARY } from '../src/database.ts'
import type { Database, VnodeHost } from '../src/index.ts'
import { NODE_INDEX } from '../src/index-space.ts'
import { FORMAT_KEY, olderKeyOf, VnodeLayout } from '../src/layout.ts'
import { seal, unseal } from '../src/seal.ts'
import { withHeadsByName } from './older-formats.ts'
import { collect, content, id, makeHost, memoryStore, testRuntime, write } from './world.ts'

const PARTITIONS = 8
const ALL = Array.from({ length: PARTITIONS }, (_, partition) => partition)
const { digest } = testRuntime()
const homeOf = (key: string, partitions = PARTITIONS) => partitionOf(id(key), partitions, digest.sha1)
const entry = (term: string, index = 'list') => ({
  index,
  scope: utf8('s'),
  term: utf8(term),
  payload: utf8(`of ${term}`),
})
const listed = (...terms: string[]) => content('v', { indexes: terms.map((term) => entry(term)) })

type Rows = readonly [Uint8Array, Uint8Array][]

function rowsOf(
  database: Database,
  range: { readonly gte: Uint8Array; readonly lt: Uint8Array },
): Promise<Rows> {
  const iterator = database.iterator({ ...BINARY, ...range })
  return iterator.nextv(100_000).finally(() => iterator.close())
}

/** What a build before would have left: each entry in the range of its partition, and the second format noted. */
async function asBefore(database: Database, partitions = PARTITIONS): Promise<number> {
  const rows = await rowsOf(database, NODE_INDEX.range)
  const moved = rows.map(([from, sealed]) => {
    const parsed = NODE_INDEX.parse(from)
    const key = new VnodeLayout(parsed.partition).ownIndex.key(parsed)
    const value = seal(key, unseal(from, sealed, digest.crc32), digest.crc32)
    return [
      { type: 'del', key: from },
      { type: 'put', key, value },
    ] as const
  })
  const note = encodeTuple(2, ['atoll vnodes', 'n1', partitions, true])
  const format = { type: 'put', key: FORMAT_KEY, value: seal(FORMAT_KEY, note, digest.crc32) } as const
  await withHeadsByName(database, partitions)
  await database.batch([...moved.flat(), format], { ...BINARY, sync: true })
  return rows.length
}

const scanOf = (limit = 1000, index = 'list') => ({
  vnodes: ALL.map((partition) => ({ partition, slices: [partition] })),
  type: 'default',
  index,
  scope: utf8('s'),
  from: undefined,
  to: undefined,
  after: undefined,
  limit,
})

const nameOf = (term: string, key: string) => `${term} of ${key}`

/** Pages of a few entries: each is another scan, and entries are on their way from one to the next. */
async function list(host: VnodeHost, limit = 1000): Promise<string[]> {
  const names: string[] = []
  for (let after: Awaited<ReturnType<VnodeHost['scan']>>['entries'][number] | undefined; ; ) {
    const { entries, done } = await host.scan({ ...scanOf(limit), after })
    names.push(...entries.map((one) => nameOf(text(one.term), text(one.key))))
    after = entries.at(-1)
    if (done) return names
  }
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

/** The keys of all entries as the records have them, which is where and all there may be. */
async function derived(host: VnodeHost): Promise<string[]> {
  const keys: string[] = []
  for (let partition = 0; partition < host.filed; partition++) {
    for (const { id: of, record } of await collect(host.fold(partition))) {
      for (const { index, scope, term } of visibleIndexEntries(record)) {
        const position = { term, bucket: of.bucket, key: of.key }
        keys.push(toHex(NODE_INDEX.key({ type: of.type, index, scope, position, partition })))
      }
    }
  }
  return keys.sort()
}

async function stored(database: Database, partitions = PARTITIONS) {
  const own = Array.from({ length: partitions }, (_, partition) => new VnodeLayout(partition).ownIndex)
  const left = await Promise.all(own.map(({ range }) => rowsOf(database, range)))
  const inOrder = await rowsOf(database, NODE_INDEX.range)
  return { left: left.flat().length, inOrder: inOrder.map(([key]) => toHex(key)).sort() }
}

async function fill(host: VnodeHost, keys: readonly string[], filed = homeOf): Promise<void> {
  const writeOf = (key: string) => write(id(key), listed(`t${key}`, 'shared'), filed(key))
  await Promise.all(keys.map((key) => host.coordinate(writeOf(key))))
}

const KEYS = Array.from({ length: 600 }, (_, at) => `k${1000 + at}`)

/** A disk as a build before has left it. */
async function oldDisk(disk: SimDisk, runtime: SimRuntime, keys = KEYS): Promise<void> {
  const host = makeHost(disk.open(), runtime)
  await host.open()
  await fill(host, keys)
  await host.close()
  const database = disk.open()
  await database.open()
  await asBefore(database)
  await database.close()
}

async function inOrder(host: VnodeHost, database: Database): Promise<void> {
  await host.converted
  const { left, inOrder } = await stored(database, host.filed)
  expect(left).toBe(0)
  expect(inOrder).toEqual(await derived(host))
}

describe('index entries of a build before', () => {
  it('are listed while they are brought in order, and afterwards, whatever is written meanwhile', async () => {
    let [during, scans] = [0, 0]
    for (let seed = 0; seed < 3; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        await oldDisk(disk, runtime)
        const database = disk.open()
        const host = makeHost(database, runtime)
        await host.open()
        const change = async (key: string, at: number) => {
          const { record } = await host.get({ partition: homeOf(key), id: id(key) })
          const what = at % 3 === 0 ? content('', { tombstone: true }) : listed(`u${key} ${at}`)
          await host.coordinate(write(id(key), what, homeOf(key), at % 2 === 0 ? record : undefined))
        }
        let settled = false
        void host.converted.then(() => {
          settled = true
        })
        // Some keys are written all the time. Of the others each scan has what is there, once.
        const busy = new Set(KEYS.slice(500))
        const isCalm = (name: string) => !busy.has(name.slice(name.lastIndexOf(' ') + 1))
        const writing = (async () => {
          for (let at = 0; at < 200; at++) {
            await change(KEYS[500 + runtime.random.below(100)]!, at)
            if (!settled) during += 1
          }
        })()
        do {
          for (let at = 0; at < 6; at++) await change(KEYS[runtime.random.below(500)]!, scans + at)
          const names = await list(host, 97)
          expect(names.filter(isCalm)).toEqual((await listedBy(host)).filter(isCalm))
          expect(new Set(names).size).toBe(names.length)
          scans += 1
        } while (!settled)
        await writing
        await inOrder(host, database)
        await host.close()
      })
    }
    expect(during).toBeGreaterThan(60)
    expect(scans).toBeGreaterThan(6)
  })

  it('are what the record says, when that is written or given away in the same moment', async () => {
    for (let seed = 0; seed < 3; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        await oldDisk(disk, runtime)
        const database = disk.open()
        const host = makeHost(database, runtime)
        await host.open()
        const change = async (key: string, at: number) => {
          await runtime.clock.sleep(runtime.random.below(30_000) / 1000)
          const partition = homeOf(key)
          const { record } = await host.get({ partition, id: id(key) })
          if (at % 4 > 0) return host.coordinate(write(id(key), listed(`u${key}`), partition, record))
          const clock = clockDigest(record!, runtime.digest.sha1)
          return host.handoffOf(partition).remove({ id: id(key), digest: clock })
        }
        await Promise.all(KEYS.map(change))
        await inOrder(host, database)
        expect(await list(host)).toEqual(
          KEYS.filter((_, at) => at % 4 > 0).map((key) => nameOf(`u${key}`, key)),
        )
        await host.close()
      })
    }
  })

  it('go on to be brought in order after power cuts at any time, and none is lost or left', async () => {
    let cuts = 0
    for (let seed = 0; seed < 12; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        await oldDisk(disk, runtime)
        for (let life = 0; life < 4; life++) {
          const host = makeHost(disk.open(), runtime)
          await host.open()
          const writing = Array.from({ length: 20 }, async (_, at) => {
            await runtime.clock.sleep(runtime.random.below(40))
            const key = KEYS[runtime.random.below(600)]!
            await host.coordinate(write(id(key), listed(`u${life} ${at}`), homeOf(key))).catch(() => {})
          })
          await runtime.clock.sleep(runtime.random.below(60))
          const { left } = await stored(disk.open()).catch(() => ({ left: -1 }))
          cuts += left === 0 ? 0 : 1
          disk.crash()
          await Promise.all(writing)
          await host.close().catch(() => {})
        }
        const database = disk.open()
        const host = makeHost(database, runtime)
        await host.open()
        expect(await list(host)).toEqual(await listedBy(host))
        await inOrder(host, database)
        expect(await list(host, 50)).toEqual(await listedBy(host))
        await host.close()
      })
    }
    expect(cuts).toBeGreaterThan(12)
  })

  it('need no look once they are in order', async () => {
    const store = memoryStore()
    const first = makeHost(store.database)
    await first.open()
    await fill(first, KEYS.slice(0, 20))
    await first.close()
    await store.database.open()
    expect(await asBefore(store.database)).toBe(40)
    await store.database.close()
    const runtime = testRuntime()
    const host = makeHost(store.again(), runtime)
    await host.open()
    await inOrder(host, store.database)
    expect(runtime.metrics.value('atoll_vnode_reordered_index_entries_total')).toBe(40)
    const note = unseal(FORMAT_KEY, (await store.database.get(FORMAT_KEY, BINARY))!, digest.crc32)
    expect(toHex(note)).toBe(toHex(encodeTuple(5, ['atoll vnodes', 'n1', 8, true, true, true])))
    await host.close()
  })

  it('go as they are if their record cannot tell them, and are healed by a record that can', async () => {
    const store = memoryStore()
    const first = makeHost(store.database)
    await first.open()
    await fill(first, ['lost', 'sound', 'gone'])
    await first.close()
    await store.database.open()
    await asBefore(store.database)
    const layoutOf = (key: string) => new VnodeLayout(homeOf(key))
    const ownKey = (key: string, term: string) => {
      const position = { term: utf8(term), bucket: utf8('b'), key: utf8(key) }
      const place = { type: 'default', index: 'list', scope: utf8('s'), partition: homeOf(key) }
      return layoutOf(key).ownIndex.key({ ...place, position })
    }
    await store.database.batch(
      [
        { type: 'put', key: olderKeyOf(layoutOf('lost').dataKey(id('lost'))), value: utf8('rotten') },
        { type: 'put', key: ownKey('lost', 'shared'), value: utf8('rotten') },
        { type: 'put', key: ownKey('sound', 'shared'), value: utf8('rotten') },
        { type: 'del', key: olderKeyOf(layoutOf('gone').dataKey(id('gone'))) },
      ],
      { ...BINARY, sync: true },
    )
    await store.database.close()
    const runtime = testRuntime()
    const host = makeHost(store.again(), runtime)
    await host.open()
    await host.converted
    expect(await stored(store.database)).toMatchObject({ left: 0 })
    expect(await list(host)).toEqual(['shared of sound', 'tlost of lost', 'tsound of sound'])
    // And a new record of the key replaces what the lost one has left.
    await host.coordinate(write(id('lost'), listed('new'), homeOf('lost')))
    expect(await list(host)).toEqual(['new of lost', 'shared of sound', 'tsound of sound'])
    await host.close()
  })

  it.each([
    ['when it is opened', true],
    ['while it serves', false],
  ])('are found when the ring gets more partitions %s', async (_, atOpen) => {
    const world = createWorld({ seed: 3 })
    const runtime = world.runtime('n1')
    const disk = world.disk('n1')
    await world.run(async () => {
      await oldDisk(disk, runtime)
      const database = disk.open()
      const host = makeHost(database, runtime, { partitions: atOpen ? 16 : 8 })
      await host.open()
      if (!atOpen) {
        await runtime.clock.sleep(10)
        expect((await stored(database)).left).toBeGreaterThan(0)
        await host.refile(16)
      }
      const slices = Array.from({ length: 16 }, (_, partition) => ({ partition, slices: [partition] }))
      const { entries } = await host.scan({ ...scanOf(10_000), vnodes: slices })
      expect(entries.length).toBe(2 * KEYS.length)
      for (const { key, slice } of entries) expect(slice).toBe(homeOf(text(key), 16))
      await inOrder(host, database)
      await host.close()
    })
  })

  it('go with the record that is given away, and with the partition that is dropped', async () => {
    const world = createWorld({ seed: 4 })
    const runtime = world.runtime('n1')
    const disk = world.disk('n1')
    await world.run(async () => {
      await oldDisk(disk, runtime)
      const database = disk.open()
      const host = makeHost(database, runtime)
      await host.open()
      const [away = ''] = KEYS
      const dropped = ALL.find((partition) => partition !== homeOf(away))!
      const vnode = host.handoffOf(homeOf(away))
      const page = await vnode.page(undefined, { pageRecords: 1000, pageBytes: 1e6 })
      const moving = page.records.find((one) => text(one.id.key) === away)!
      expect(await vnode.remove({ id: moving.id, digest: moving.digest })).toBe(true)
      await host.drop(dropped)
      const kept = KEYS.filter((key) => key !== away && homeOf(key) !== dropped)
      const names = kept.flatMap((key) => [nameOf(`t${key}`, key), nameOf('shared', key)])
      expect(await list(host)).toEqual(names.sort())
      await inOrder(host, database)
      await host.close()
    })
  })
})

/** As `list`, by the records. */
async function listedBy(host: VnodeHost): Promise<string[]> {
  const names: [string, string][] = []
  for (const partition of ALL)
    for (const { id: of, record } of await collect(host.fold(partition))) names.push(...namesOf(of, record))
  return names.sort(byBoth).map(([term, key]) => nameOf(term, key))
}

function namesOf({ key }: KeyId, record: StoredRecord): [string, string][] {
  return visibleIndexEntries(record).map(({ term }) => [text(term), text(key)])
}

function byBoth([a, x]: [string, string], [b, y]: [string, string]): number {
  return a < b ? -1 : a > b ? 1 : x < y ? -1 : 1
}

describe('dropping a partition', () => {
  it('takes its entries and no others, whenever the power fails', async () => {
    const left = new Set<number>()
    const [mine, others] = [KEYS.slice(0, 150), KEYS.slice(150, 160)]
    for (let seed = 0; seed < 36; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const database = disk.open()
        const first = makeHost(database, runtime)
        await first.open()
        await fill(first, mine, () => 1)
        await fill(first, others, () => 2)
        crashAfter(database, seed % 9, disk)
        await first.drop(1).catch(() => {})
        disk.crash()
        await first.close().catch(() => {})
        const again = disk.open()
        const host = makeHost(again, runtime)
        await host.open()
        expect((await stored(again)).inOrder).toEqual(await derived(host))
        left.add(await host.count(1))
        await host.close()
      })
    }
    expect(left).toContain(0)
    expect(left).toContain(mine.length)
    expect([...left].some((count) => count > 0 && count < mine.length)).toBe(true)
  })

  it('takes the entries of records that cannot tell them any more', async () => {
    const { database } = memoryStore()
    const host = makeHost(database)
    await host.open()
    await fill(host, KEYS)
    const keys = KEYS.filter((key) => homeOf(key) === 2)
    const rotten = keys.slice(0, 3).map((key) => {
      const dataKey = new VnodeLayout(2).dataKey(id(key))
      return { type: 'put', key: dataKey, value: utf8('rotten') } as const
    })
    await database.batch(rotten, { ...BINARY, sync: true })
    await host.drop(2)
    expect((await stored(database)).inOrder).toEqual(await derived(host))
    expect((await list(host)).length).toBe(2 * (KEYS.length - keys.length))
    await host.close()
  })
})

/** Lets the power fail when so many writes were begun. */
function crashAfter(database: Database, writes: number, disk: SimDisk): void {
  let begun = 0
  const count = () => {
    if (begun++ === writes) disk.crash()
  }
  const { batch, clear } = database
  database.batch = (operations, options) => {
    count()
    return batch.call(database, operations, options)
  }
  database.clear = (options) => {
    count()
    return clear.call(database, options)
  }
}
