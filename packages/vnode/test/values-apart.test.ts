import { encodeRecord, type StoredRecord } from '@atoll/causality'
import { encodeTuple, type KeyId, toHex, utf8 } from '@atoll/core'
import { createWorld } from '@atoll/sim'
import { describe, expect, it } from 'vitest'
import { BINARY } from '../src/database.ts'
import { decodeBody, decodeEnvelope, movedEnvelope } from '../src/envelope.ts'
import { readPage } from '../src/handoff-pages.ts'
import type { Database, VnodeHost } from '../src/index.ts'
import { bodyKeyOf, FORMAT_KEY, olderKeyOf, VnodeLayout } from '../src/layout.ts'
import type { Operation } from '../src/ports.ts'
import { RecordReader } from '../src/record-reader.ts'
import { seal } from '../src/seal.ts'
import { goldenBytes } from './golden.ts'
import { rowsIn, withValuesAtHeads } from './older-formats.ts'
import {
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

const ONE = new VnodeLayout(1)
const { crc32, sha1 } = testRuntime().digest
const INLINE_BYTES = 100
const APART = { inlineBytes: INLINE_BYTES }
const large = (fill: number, bytes = 1000) => new Uint8Array(bytes).fill(fill)
const at = (key: KeyId) => ({ partition: 1, id: key })

interface Seen {
  /** Bytes that were read of values which lie apart. */
  bodyBytes: number
  /** Operations as they were written. */
  operations: Operation[]
  /** Called before each read of such values. */
  beforeBody: (() => Promise<unknown>) | undefined
}

/** Looks on at what is read and written. */
function watched(database: Database): { readonly database: Database; readonly seen: Seen } {
  const seen: Seen = { bodyBytes: 0, operations: [], beforeBody: undefined }
  const isBody = (key: Uint8Array) => Buffer.from(key).includes('!!body!')
  const get: Database['get'] = async (key, options) => {
    if (!isBody(key)) return database.get(key, options)
    const { beforeBody } = seen
    seen.beforeBody = undefined
    await beforeBody?.()
    const value = await database.get(key, options)
    seen.bodyBytes += value?.length ?? 0
    return value
  }
  const batch: Database['batch'] = (operations, options) => {
    seen.operations.push(...operations)
    return database.batch(operations, options)
  }
  const proxy = new Proxy(database, {
    get: (target, name) => {
      if (name === 'get') return get
      if (name === 'batch') return batch
      if (name === 'supports') return { ...target.supports, getSync: false }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { database: proxy, seen }
}

async function keysOf(database: Database, range = ONE.bodies.range): Promise<number> {
  const iterator = database.keys({ ...BINARY, ...range })
  return iterator
    .nextv(10_000)
    .then((keys) => keys.length)
    .finally(() => iterator.close())
}

async function opened(options = APART) {
  const store = memoryStore()
  const runtime = testRuntime()
  const { database, seen } = watched(store.database)
  const host = makeHost(database, runtime, options)
  await host.open()
  return { host, database: store.database, seen, runtime }
}

const sizes = (record: StoredRecord | undefined) => record?.siblings.map(({ value }) => value.length)

describe('values that lie apart from the head of their record', () => {
  it('are stored in a form that stays, and any other byte is found', async () => {
    const { host, database } = await opened()
    const clock = new Map([
      ['00000000000000aa', 7],
      ['00000000000000bb', 2],
    ])
    const [one, two] = [large(1, 60), large(2, 61)]
    const sibling = (value: Uint8Array, actor: string, counter: number) => {
      const { dot: _, ...rest } = { ...content(value), dot: 0, valueCrc32: crc32(value), timestampMs: 5 }
      return { ...rest, dot: { actor, counter }, writeId: new Uint8Array(16).fill(counter) }
    }
    const record = {
      clock,
      siblings: [sibling(one, '00000000000000aa', 7), sibling(two, '00000000000000bb', 2)],
    }
    await host.put({ ...at(id('key')), record })
    const key = ONE.dataKey(id('key'))
    const head = new Uint8Array((await database.get(key, BINARY))!)
    const body = new Uint8Array((await database.get(bodyKeyOf(key), BINARY))!)
    expect(toHex(head)).toBe(toHex(goldenBytes('record-head-v2-in-segment', head)))
    const to = olderKeyOf(key)
    const older = movedEnvelope(head, { from: key, to }, crc32)
    expect(toHex(older)).toBe(toHex(goldenBytes('record-head-v2', older)))
    expect(decodeEnvelope(to, older, { crc32 }).corrupt).toBe(false)
    expect(toHex(body)).toBe(toHex(goldenBytes('record-body-v1', body)))

    const stored = decodeEnvelope(key, head, { crc32 })
    expect(stored).toMatchObject({ corrupt: false, bytes: head.length, bodyBytes: body.length })
    const means = { crc32, sha1 }
    expect(decodeBody(stored.headOfBody!, body, means)).toEqual((await host.get(at(id('key')))).record)
    for (let byte = 0; byte < head.length; byte++) {
      const bad = new Uint8Array(head)
      bad[byte] = bad[byte]! ^ 1
      expect(decodeEnvelope(key, bad, { crc32 }).corrupt, `byte ${byte} of the head`).toBe(true)
    }
    for (let byte = 0; byte < body.length; byte++) {
      const bad = new Uint8Array(body)
      bad[byte] = bad[byte]! ^ 1
      expect(decodeBody(stored.headOfBody!, bad, means), `byte ${byte} of the values`).toBeTypeOf('string')
    }
    for (const length of [0, 1, 8, body.length - 1])
      expect(decodeBody(stored.headOfBody!, body.subarray(0, length), means)).toBe('corrupt')
    await host.close()
  })

  it.each(STORES)('come back whole from %s, alone, beside others and merged', async (_, makeStore) => {
    const store = makeStore()
    const host = makeHost(store.database, testRuntime(), APART)
    await host.open()
    await host.coordinate(write(id('k'), content(large(1))))
    await host.coordinate(write(id('k'), content('small')))
    const { record } = await host.coordinate(write(id('k'), content(large(3, 2000))))
    expect(sizes(record)?.sort()).toEqual([1000, 2000, 5])
    const got = await host.get(at(id('k')))
    expect(inHex(got.record)).toEqual(inHex(record))
    const other = makeHost(memoryStore().database, testRuntime(), APART)
    await other.open()
    const { record: brought } = await other.coordinate(write(id('k'), content(large(4))))
    expect(await host.put({ ...at(id('k')), record: brought })).toEqual({ changed: true })
    expect(sizes((await host.get(at(id('k')))).record)?.sort()).toEqual([1000, 1000, 2000, 5])
    const [item] = await collect(host.fold(1))
    expect(inHex(item?.record)).toEqual(inHex((await host.get(at(id('k')))).record))
    await host.close()
    const again = makeHost(store.again(), testRuntime(), APART)
    await again.open()
    expect(inHex((await again.get(at(id('k')))).record)).toEqual(inHex(item?.record))
    await again.close()
    await other.close()
    store.dispose()
  })

  it('are not read by who offers, holds, deletes, replaces or counts', async () => {
    const { host, database, seen, runtime } = await opened()
    const keys = Array.from({ length: 20 }, (_, number) => id(`k${number}`))
    const records = new Map<KeyId, StoredRecord>()
    for (const key of keys) {
      const { record } = await host.coordinate(write(key, content(large(1, 10_000))))
      records.set(key, record)
    }
    const parts = { runtime, database, reader: new RecordReader(runtime, database), layout: ONE }
    const limits = { pageRecords: 256, pageBytes: 1024 * 1024 }
    const { records: offered } = await readPage({ ...parts, limits }, [ONE.heads.range])
    expect(offered).toHaveLength(20)
    expect(offered.every(({ bytes }) => bytes > 10_000)).toBe(true)
    const vnode = host.handoffOf(1)
    for (const entry of offered) expect(await vnode.holds(entry)).toBe(true)
    // Writes that replace what is there, one that has seen it, and a deletion.
    const [a, b, c, d] = keys as [KeyId, KeyId, KeyId, KeyId]
    await host.coordinate(write(a, content(large(2)), 1, records.get(a)))
    const { record: newer } = await host.coordinate(write(c, content('v'), 1, records.get(c)))
    await host.put({ ...at(c), record: newer })
    await host.coordinate(write(d, content('', { tombstone: true }), 1, records.get(d)))
    const changed = new Set([a, c, d].map(({ key }) => toHex(key)))
    for (const entry of offered) expect(await vnode.remove(entry)).toBe(!changed.has(toHex(entry.id.key)))
    expect(seen.bodyBytes).toBe(0)
    // One that comes again may be a repair: who takes it looks whether the values are sound.
    await host.put({ ...at(b), record: records.get(b)! })
    await host.put({ ...at(b), record: records.get(b)! })
    expect(seen.bodyBytes).toBeGreaterThan(10_000)
    expect(seen.bodyBytes).toBeLessThan(20_000)
    expect(await vnode.remove(offered.find(({ id: { key } }) => toHex(key) === toHex(b.key))!)).toBe(true)
    // One of those that are left has a large value still.
    expect(await keysOf(database)).toBe(1)
    await host.close()
  })

  it('go with what is written over them, and a value log is told of each how much it hides', async () => {
    const { host, database, seen } = await opened()
    const key = id('k')
    const block = id('k', 'blocks')
    const told = async (task: () => Promise<unknown>) => {
      seen.operations.length = 0
      await task()
      const ofBodies = seen.operations.filter((one) => Buffer.from(one.key).includes('!!body!'))
      return ofBodies.map(({ type, replacesBytes }) => [type, replacesBytes])
    }
    const written = (what: Uint8Array | string, context?: StoredRecord) => () =>
      host.coordinate(write(key, content(what), 1, context))
    const now = async () => (await host.get(at(key))).record
    const front = 9
    expect(await told(written(large(1)))).toEqual([['put', 0]])
    expect(await told(written(large(2, 500), await now()))).toEqual([['put', 1000 + front]])
    expect(await told(written('small', await now()))).toEqual([['del', 500 + front]])
    expect(await told(written('smaller', await now()))).toEqual([])
    expect(await keysOf(database)).toBe(0)
    await written(large(3), await now())()
    const [entry] = (await readPageOf(host, database)).records
    expect(await told(() => host.handoffOf(1).remove(entry!))).toEqual([['del', 1000 + front]])
    expect(await keysOf(database)).toBe(0)

    // A block replaces whatever lies there.
    const blind =
      (what: Uint8Array | string, tombstone = false) =>
      () =>
        host.coordinate(write(block, content(what, { tombstone })))
    expect(await told(blind(large(1)))).toEqual([['put', 0]])
    const blockKey = ONE.dataKey(block)
    await database.batch([{ type: 'put', key: blockKey, value: utf8('rotten') }], { ...BINARY, sync: true })
    expect(await told(blind(large(2)))).toEqual([['put', Number.MAX_SAFE_INTEGER]])
    expect(await told(blind('', true))).toEqual([['del', 1000 + front]])
    expect(await keysOf(database)).toBe(0)
    await host.coordinate(write(id('k2'), content(large(1))))
    await host.coordinate(write(id('k3', 'blocks'), content(large(1))))
    await host.drop(1)
    expect(await keysOf(database)).toBe(0)
    expect(await host.count(1)).toBe(0)
    await host.close()
  })

  it('are never those of another record, though a write comes between the reads of head and values', async () => {
    const { host, seen, runtime } = await opened()
    const key = id('k')
    let { record } = await host.coordinate(write(key, content(large(1))))
    for (const [what, expected] of [
      [large(2), [1000]],
      ['small', [5]],
      [large(3), [1000]],
    ] as const) {
      seen.beforeBody = async () => {
        ;({ record } = await host.coordinate(write(key, content(what), 1, record)))
      }
      const got = await host.get(at(key))
      expect(got.corrupt).toBe(false)
      expect(sizes(got.record)).toEqual(expected)
      expect(inHex(got.record)).toEqual(inHex(record))
      if (what === 'small') ({ record } = await host.coordinate(write(key, content(large(9)), 1, record)))
    }
    expect(runtime.marks.get('vnode.read-between-writes')).toBeGreaterThan(0)
    // One that is removed meanwhile is not there; one that changes at every look is given up, and nothing is known of it.
    seen.beforeBody = () => host.drop(1)
    expect(await host.get(at(key))).toEqual({ record: undefined, corrupt: false })
    ;({ record } = await host.coordinate(write(key, content(large(1)))))
    const again = async () => {
      ;({ record } = await host.coordinate(write(key, content(large(4)), 1, record)))
      seen.beforeBody = again
    }
    seen.beforeBody = again
    await expect(host.get(at(key))).rejects.toMatchObject({ code: 'ATOLL_OVERLOADED', transient: true })
    seen.beforeBody = undefined
    await host.close()
  })

  it('are healed by a repair that brings what the head says is there', async () => {
    const { host, database } = await opened()
    const key = id('healed')
    const { record } = await host.coordinate(write(key, content(large(1))))
    const bodyKey = bodyKeyOf(ONE.dataKey(key))
    const value = new Uint8Array((await database.get(bodyKey, BINARY))!)
    value[500]! ^= 1
    await database.batch([{ type: 'put', key: bodyKey, value }], { ...BINARY, sync: true })
    expect(await host.get(at(key))).toEqual({ record: undefined, corrupt: true })
    await host.put({ ...at(key), record })
    expect((await host.get(at(key))).record).toEqual(record)
    await host.close()
  })

  it('are damaged, and told to be, when they are missing, rotten or another record’s', async () => {
    const { host, database, runtime } = await opened()
    const damages: ((key: Uint8Array) => Promise<void>)[] = [
      (key) => database.batch([{ type: 'del', key }], { ...BINARY, sync: true }),
      async (key) => {
        const value = new Uint8Array((await database.get(key, BINARY))!)
        value[500] = 0
        await database.batch([{ type: 'put', key, value }], { ...BINARY, sync: true })
      },
      async (key) => {
        const value = (await database.get(bodyKeyOf(ONE.dataKey(id('other'))), BINARY))!
        await database.batch([{ type: 'put', key, value }], { ...BINARY, sync: true })
      },
    ]
    await host.coordinate(write(id('other'), content(large(7))))
    for (const [number, damage] of damages.entries()) {
      const key = id(`k${number}`)
      const { record } = await host.coordinate(write(key, content(large(1))))
      await damage(bodyKeyOf(ONE.dataKey(key)))
      expect(await host.get(at(key))).toEqual({ record: undefined, corrupt: true })
      expect(runtime.metrics.value('atoll_vnode_corrupt_records_total')).toBe(3 * number + 1)
      const items = await collect(host.fold(1))
      expect(items.some(({ id: of }) => toHex(of.key) === toHex(key.key))).toBe(false)
      // A write that has not seen it stands beside something that nobody can read: it takes its place.
      await host.coordinate(write(key, content('healed')))
      expect(valuesOf((await host.get(at(key))).record)).toEqual(['healed'])
      await host.put({ ...at(key), record })
      expect((await host.get(at(key))).corrupt).toBe(false)
    }
    await host.close()
  })
})

async function readPageOf(_host: VnodeHost, database: Database) {
  const runtime = testRuntime()
  const parts = { runtime, database, reader: new RecordReader(runtime, database), layout: ONE }
  return readPage({ ...parts, limits: { pageRecords: 256, pageBytes: 1024 * 1024 } }, [ONE.heads.range])
}

const NAMES = Array.from({ length: 120 }, (_, number) => `k${1000 + number}`)

/** How many records have many bytes with their head. */
async function heavy(database: Database): Promise<number> {
  const ranges = [ONE.heads.range, ONE.olderHeads.range]
  const rows = (await Promise.all(ranges.map((range) => rowsIn(database, range)))).flat()
  return rows.filter(([, value]) => value.length > 1000).length
}

describe('large values that a build before has stored with their heads', () => {
  it('are brought apart while the node serves, and no write of that time is lost', async () => {
    let during = 0
    for (let seed = 0; seed < 4; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const before = makeHost(disk.open(), runtime, APART)
        await before.open()
        for (const name of NAMES)
          await before.coordinate(write(id(name), content(large(1, name.endsWith('7') ? 20 : 2000))))
        await before.close()
        const old = disk.open()
        await old.open()
        expect(await withValuesAtHeads(old)).toBe(108)
        await old.close()

        const database = disk.open()
        const host = makeHost(database, runtime, APART)
        await host.open()
        expect(await heavy(database)).toBe(108)
        let settled = false
        const converted = host.converted.then(() => {
          settled = true
        })
        const expected = new Map<string, StoredRecord>()
        while (!settled) {
          const name = NAMES[runtime.random.below(NAMES.length)]!
          const { record: seenRecord } = await host.get(at(id(name)))
          const what = [large(2, 3000), 'small', large(3, 500)][runtime.random.below(3)]!
          const { record } = await host.coordinate(write(id(name), content(what), 1, seenRecord))
          expected.set(name, record)
          if (!settled) during += 1
        }
        await converted
        for (const name of NAMES) {
          const { record, corrupt } = await host.get(at(id(name)))
          expect(corrupt).toBe(false)
          const known = expected.get(name)
          if (known === undefined) expect(sizes(record)).toEqual([name.endsWith('7') ? 20 : 2000])
          else expect(encodeRecord(record!)).toEqual(encodeRecord(known))
        }
        expect(await heavy(database)).toBe(0)
        const bodies = (await collect(host.fold(1))).filter(({ record }) => sizes(record)![0]! > INLINE_BYTES)
        expect(await keysOf(database)).toBe(bodies.length)
        await host.close()
      })
    }
    expect(during).toBeGreaterThan(40)
  })

  it('are what was written, where a record is written in the moment in which it is brought apart', async () => {
    for (let seed = 0; seed < 6; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const before = makeHost(disk.open(), runtime, APART)
        await before.open()
        const writeOf = (name: string, fill: number, context?: StoredRecord) =>
          write(id(name), content(large(fill, 2000)), 1, context)
        const old = new Map<string, StoredRecord>()
        for (const name of NAMES) old.set(name, (await before.coordinate(writeOf(name, 1))).record)
        await before.close()
        const database = disk.open()
        await database.open()
        await withValuesAtHeads(database)
        await database.close()
        const host = makeHost(disk.open(), runtime, APART)
        await host.open()
        const written = await Promise.all(
          NAMES.map(async (name) => {
            await runtime.clock.sleep(runtime.random.below(40))
            return host.coordinate(writeOf(name, 2, old.get(name)))
          }),
        )
        await host.converted
        for (const [number, name] of NAMES.entries()) {
          const { record } = await host.get(at(id(name)))
          expect(inHex(record)).toEqual(inHex(written[number]?.record))
        }
        await host.close()
      })
    }
  })

  it('are whole after a power cut at any time, and the next open goes on', async () => {
    let cutBetween = 0
    for (let seed = 0; seed < 12; seed++) {
      const world = createWorld({ seed })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const before = makeHost(disk.open(), runtime, APART)
        await before.open()
        for (const name of NAMES) await before.coordinate(write(id(name), content(large(1, 2000))))
        await before.close()
        const old = disk.open()
        await old.open()
        await withValuesAtHeads(old)
        await old.close()
        for (let life = 0; life < 3; life++) {
          const host = makeHost(disk.open(), runtime, APART)
          await host.open()
          await runtime.clock.sleep(runtime.random.below(30))
          disk.crash()
          await host.close().catch(() => {})
          const look = disk.open()
          await look.open()
          const left = await heavy(look)
          expect(left + (await keysOf(look))).toBe(NAMES.length)
          if (left > 0 && left < NAMES.length) cutBetween += 1
          await look.close()
        }
        const database = disk.open()
        const host = makeHost(database, runtime, APART)
        await host.open()
        await host.converted
        expect(await heavy(database)).toBe(0)
        for (const name of NAMES) expect(sizes((await host.get(at(id(name)))).record)).toEqual([2000])
        await host.close()
      })
    }
    expect(cutBetween).toBeGreaterThan(3)
  })

  it('need no look any more once they are apart, and a program before refuses the database', async () => {
    const { host, database, runtime } = await opened()
    await host.coordinate(write(id('k'), content(utf8('v'.repeat(200)))))
    await host.close()
    const direct = database
    await direct.open()
    await withValuesAtHeads(direct)
    await direct.close()
    const next = makeHost(database, runtime, APART)
    await next.open()
    await next.converted
    expect(runtime.metrics.value('atoll_vnode_converted_records_total')).toBe(1)
    await next.close()
    await direct.open()
    const note = (await direct.get(FORMAT_KEY, BINARY))!
    const done = encodeTuple(5, ['atoll vnodes', 'n1', 8, true, true, true])
    expect(toHex(note)).toBe(toHex(seal(FORMAT_KEY, done, crc32)))
    await direct.close()
  })
})
