import { EMPTY_RECORD, type StoredRecord } from '@atoll/causality'
import { AtollError, concatBytes, type KeyId, utf8 } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { BINARY } from '../src/database.ts'
import type { VnodeHost } from '../src/index.ts'
import { NODE_INDEX } from '../src/index-space.ts'
import { VnodeLayout } from '../src/layout.ts'
import type { BytesBatchOptions, Operation } from '../src/ports.ts'
import {
  collect,
  content,
  id,
  makeHost,
  STORES,
  type TestRuntime,
  type TestStore,
  testRuntime,
  valuesOf,
  write,
} from './world.ts'

const ONE = new VnodeLayout(1)

describe.each(STORES)('a damaged record on %s', (_name, makeStore) => {
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

  const listed = (text: string, term: string) =>
    content(text, { indexes: [{ index: 'list', scope: utf8('s'), term: utf8(term), payload: utf8('p') }] })

  /** Changes the byte at `at`, from the end if negative. */
  async function rot(key: KeyId, at: number): Promise<void> {
    const dataKey = ONE.dataKey(key)
    const bytes = new Uint8Array((await store.database.get(dataKey, BINARY))!)
    const place = at < 0 ? bytes.length + at : at
    bytes[place] = (bytes[place] ?? 0) ^ 0x55
    await store.database.batch([{ type: 'put', key: dataKey, value: bytes }], { ...BINARY, sync: true })
  }

  const terms = async () => {
    const slices = Array.from({ length: 8 }, (_, slice) => slice)
    const place = { type: 'default', index: 'list', scope: utf8('s'), from: undefined, to: undefined }
    const request = { ...place, vnodes: [{ partition: 1, slices }], after: undefined, limit: 100 }
    return (await host.scan(request)).entries.map(({ term }) => Buffer.from(term).toString())
  }

  const dotsOf = (record: StoredRecord) => record.siblings.map(({ dot }) => dot.actor)

  it('is answered as corrupt, whichever byte is bad, and counted', async () => {
    await host.coordinate(write(id('k'), content('value')))
    const length = (await store.database.get(ONE.dataKey(id('k')), BINARY))!.length
    for (let at = 0; at < length; at++) {
      await rot(id('k'), at)
      expect(await host.get({ partition: 1, id: id('k') })).toEqual({ record: undefined, corrupt: true })
      await rot(id('k'), at)
    }
    expect(runtime.metrics.value('atoll_vnode_corrupt_records_total')).toBe(length)
    expect(runtime.marks.get('vnode.corrupt-record')).toBe(length)
    expect(valuesOf((await host.get({ partition: 1, id: id('k') })).record)).toEqual(['value'])
  })

  it('is left out of folds', async () => {
    for (const key of ['a', 'b', 'c']) await host.coordinate(write(id(key), content(key)))
    await rot(id('b'), -1)
    const folded = await collect(host.fold(1))
    expect(folded.flatMap(({ record }) => valuesOf(record))).toEqual(['a', 'c'])
    expect(runtime.metrics.value('atoll_vnode_corrupt_records_total')).toBe(1)
  })

  it.each([
    ['head', 12],
    ['value', -1],
  ])('heals with a put, and its old index entries go: bad %s', async (_what, at) => {
    const { record: elsewhere } = await host.coordinate(write(id('k'), listed('new', 'new-term'), 2))
    await host.coordinate(write(id('k'), listed('old', 'old-term')))
    await host.coordinate(write(id('other'), listed('other', 'other-term')))
    await rot(id('k'), at)
    expect(await host.put({ partition: 1, id: id('k'), record: elsewhere })).toEqual({ changed: true })
    expect(await host.get({ partition: 1, id: id('k') })).toEqual({ record: elsewhere, corrupt: false })
    expect(await terms()).toEqual(['new-term', 'other-term'])
  })

  it.each([
    ['head', 12],
    ['value', -1],
  ])('makes the vnode a new actor before it coordinates again: bad %s', async (_what, at) => {
    const { record: old } = await host.coordinate(write(id('k'), content('old')))
    await rot(id('k'), at)
    const { record } = await host.coordinate(write(id('k'), content('new')))
    expect(valuesOf(record)).toEqual(['new'])
    expect(dotsOf(record)).not.toEqual(dotsOf(old))
    // The other replica still has the old value, of which this clock must not claim to know.
    await host.put({ partition: 2, id: id('k'), record: old })
    await host.put({ partition: 2, id: id('k'), record })
    expect(valuesOf((await host.get({ partition: 2, id: id('k') })).record).sort()).toEqual(['new', 'old'])
  })

  it('is no word on whether a write is alone', async () => {
    const { record } = await host.coordinate(write(id('k'), content('old')))
    await rot(id('k'), -1)
    const declined = await host.coordinate({ ...write(id('k'), content('new'), 1, record), ifAlone: true })
    expect(declined).toEqual({ record: EMPTY_RECORD, declined: true })
    expect(await host.put({ partition: 1, id: id('k'), record, tellAlone: true })).toMatchObject({
      alone: false,
    })
    expect(await host.put({ partition: 1, id: id('k'), record, tellAlone: true })).toMatchObject({
      alone: true,
    })
  })

  it('makes the vnode a new actor for good when it is healed', async () => {
    const { record: old } = await host.coordinate(write(id('k'), content('old')))
    const { record: elsewhere } = await host.coordinate(write(id('k'), content('there'), 2))
    await rot(id('k'), -1)
    await host.put({ partition: 1, id: id('k'), record: elsewhere })
    await host.close()
    host = makeHost(store.again(), runtime)
    await host.open()
    const { record } = await host.coordinate(write(id('k'), content('new')))
    expect(record.siblings.some(({ dot }) => dot.actor === dotsOf(old)[0])).toBe(false)
    expect(record.clock.has(dotsOf(old)[0]!)).toBe(false)
  })

  it('makes the vnode a new actor if others know more of it than it does itself', async () => {
    const { record: old } = await host.coordinate(write(id('k'), content('old')))
    const key = ONE.dataKey(id('k'))
    await store.database.batch([{ type: 'del', key }], { ...BINARY, sync: true })
    const alone = { ...write(id('k'), content('new'), 1, old), ifAlone: true }
    expect(await host.coordinate(alone)).toMatchObject({ declined: true })
    const { record } = await host.coordinate(write(id('k'), content('new'), 1, old))
    expect(dotsOf(record)).not.toEqual(dotsOf(old))
    expect(valuesOf(record)).toEqual(['new'])
  })

  it('is an index entry that fails its check: left out and counted', async () => {
    await host.coordinate(write(id('k'), listed('v', 'a')))
    await host.coordinate(write(id('l'), listed('v', 'b')))
    const place = { type: 'default', index: 'list', scope: utf8('s'), partition: 1 }
    const key = NODE_INDEX.key({
      ...place,
      position: { term: utf8('a'), bucket: utf8('b'), key: utf8('k') },
    })
    const value = utf8('nonsense')
    await store.database.batch([{ type: 'put', key, value }], { ...BINARY, sync: true })
    expect(await terms()).toEqual(['b'])
    expect(runtime.metrics.value('atoll_vnode_corrupt_index_entries_total')).toBe(1)
  })
})

it.each([
  ['LevelDB', Object.assign(new Error('bad block'), { code: 'LEVEL_CORRUPTION' })],
  ['a value log', new AtollError('ATOLL_CORRUPT', 'bad value')],
])('a checksum error of %s is a damaged record too', async (_, error) => {
  class Rotten extends MemoryLevel {
    rotten = false
    async _get(...args: unknown[]) {
      if (this.rotten) throw error
      // @ts-expect-error the private interface of abstract-level has no types
      return super._get(...args)
    }
    _getSync(...args: unknown[]) {
      if (this.rotten) throw error
      // @ts-expect-error the private interface of abstract-level has no types
      return super._getSync(...args)
    }
  }
  const database = new Rotten()
  const runtime = testRuntime()
  const host = makeHost(database, runtime)
  await host.open()
  await host.coordinate(write(id('k'), content('v')))
  database.rotten = true
  expect(await host.get({ partition: 1, id: id('k') })).toEqual({ record: undefined, corrupt: true })
  database.rotten = false
  await host.close()
})

/** A database of which every n-th batch fails, half of those after they were written. */
class Failing extends MemoryLevel {
  every = Number.POSITIVE_INFINITY
  batches = 0
  async _batch(...args: unknown[]) {
    this.batches += 1
    const fails = this.batches % this.every === 0
    await new Promise((resolve) => setImmediate(resolve))
    if (fails && this.batches % (2 * this.every) === 0) throw new Error('before it was written')
    // @ts-expect-error the private interface of abstract-level has no types
    await super._batch(...args)
    if (fails) throw new Error('after it was written')
  }
}

/** As a value log has it: takes a batch while others are under way, and writes none that builds on one that has failed. */
class FailingInChains extends Failing {
  together = 0
  #underWay = 0
  #last: Promise<unknown> = Promise.resolve()
  batchBytes(operations: readonly Operation[], { chain }: BytesBatchOptions): Promise<void> {
    this.#underWay += 1
    this.together = Math.max(this.together, this.#underWay)
    const before = this.#last
    const write = async () => {
      await before
      try {
        if (chain.failure !== undefined) throw chain.failure
        await this.batch(operations.map(whole), BINARY)
      } catch (cause) {
        chain.failure ??= new AtollError('ATOLL_STORAGE', 'a batch has failed', { cause })
        throw cause
      } finally {
        this.#underWay -= 1
      }
    }
    const written = write()
    this.#last = written.catch(() => {})
    return written
  }
}

function whole(operation: Operation): Operation {
  if (operation.type === 'del' || operation.tail === undefined) return operation
  return { type: 'put', key: operation.key, value: concatBytes([operation.value, operation.tail]) }
}

// After each that fails, the next one only sees whether the database takes writes again.
describe.each([
  ['one after the other', 4, () => new Failing()],
  ['in a chain', 5, () => new FailingInChains()],
] as const)('a database that fails batches %s', (_, every, makeDatabase) => {
  it('loses no acknowledged write, and no dot is given twice', async () => {
    const database = makeDatabase()
    const runtime = testRuntime()
    let host = makeHost(database, runtime)
    await host.open()
    database.every = every
    const acknowledged = new Map<string, Set<string>>()
    const dots = new Map<string, string>()
    const outcomes = { durable: 0, failed: 0 }
    const writeOne = async (round: number, at: number) => {
      const key = `k${at % 5}`
      const value = `${round}/${at}`
      try {
        const block = id(value, 'blocks')
        if (at % 10 === 0) await host.coordinate(write(block, content(new Uint8Array(100_000))))
        const { record } = await host.coordinate(write(id(key), content(value)))
        outcomes.durable += 1
        acknowledged.set(key, (acknowledged.get(key) ?? new Set()).add(value))
        for (const { dot, value: bytes } of record.siblings) {
          const name = `${key} ${dot.actor} ${dot.counter}`
          const text = Buffer.from(bytes).toString()
          expect(dots.get(name) ?? text).toBe(text)
          dots.set(name, text)
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'ATOLL_STORAGE' })
        outcomes.failed += 1
      }
    }
    for (let round = 0; round < 12; round++) {
      await Promise.all(Array.from({ length: 30 }, (_, at) => writeOne(round, at)))
      if (round % 4 !== 3) continue
      database.every = Number.POSITIVE_INFINITY
      await host.close()
      host = makeHost(database, runtime)
      await host.open()
      database.every = every
    }
    expect(outcomes.durable).toBeGreaterThan(50)
    expect(outcomes.failed).toBeGreaterThan(50)
    for (const [key, values] of acknowledged) {
      const { record } = await host.get({ partition: 1, id: id(key) })
      const there = new Set(valuesOf(record))
      expect([...values].filter((value) => !there.has(value))).toEqual([])
    }
    if (database instanceof FailingInChains) expect(database.together).toBeGreaterThan(2)
    database.every = Number.POSITIVE_INFINITY
    await host.close()
  })

  it('fails writes that were built on a failed one, and goes on as a new actor', async () => {
    const database = makeDatabase()
    const runtime = testRuntime()
    const host = makeHost(database, runtime)
    await host.open()
    const { record: first } = await host.coordinate(write(id('k'), content('first')))
    database.batches = 1
    database.every = 2
    const failing = host.coordinate(write(id('k'), content('second')))
    const dependent = host.coordinate(write(id('k'), content('third')))
    await expect(failing).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: false })
    await expect(dependent).rejects.toMatchObject({ code: 'ATOLL_STORAGE' })
    expect(runtime.marks.get('vnode.write-on-pending')).toBe(1)
    database.every = Number.POSITIVE_INFINITY
    const { record } = await host.coordinate(write(id('k'), content('fourth')))
    const fourth = record.siblings.find(({ value }) => Buffer.from(value).toString() === 'fourth')
    expect(fourth?.dot.actor).not.toBe(first.siblings[0]?.dot.actor)
    await host.close()
  })
})

describe('a database that is closed under the host', () => {
  it('is told as closed by whatever reads, and as a failure by a write that does not', async () => {
    const database = new MemoryLevel()
    const host = makeHost(database)
    await host.open()
    await host.coordinate(write(id('k'), content('v')))
    await database.close()
    const closed = { code: 'ATOLL_CLOSED', definite: true }
    const place = { type: 'default', index: 'list', scope: utf8('s'), from: undefined, to: undefined }
    const vnodes = [{ partition: 1, slices: [1] }]
    await expect(host.get({ partition: 1, id: id('k') })).rejects.toMatchObject(closed)
    await expect(host.scan({ ...place, vnodes, after: undefined, limit: 1 })).rejects.toMatchObject(closed)
    await expect(collect(host.fold(1))).rejects.toMatchObject(closed)
    await expect(host.count(1)).rejects.toMatchObject(closed)
    await expect(host.partitions()).rejects.toMatchObject(closed)
    await expect(host.coordinate(write(id('k', 'blocks'), content('v')))).rejects.toMatchObject(closed)
    const noting = host.hint({ partition: 1, id: id('k'), hintFor: ['n2'] })
    await expect(noting).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: false })
    await host.close()
  })
})

it('a fold ends when nobody wants more of it', async () => {
  const host = makeHost(new MemoryLevel())
  await host.open()
  for (const key of ['a', 'b', 'c']) await host.coordinate(write(id(key), content(key)))
  const given = new AbortController()
  const seen: string[] = []
  const fold = async () => {
    for await (const { record } of host.fold(1, { signal: given.signal })) {
      seen.push(...valuesOf(record))
      given.abort(new Error('enough'))
    }
  }
  await expect(fold()).rejects.toThrow('enough')
  expect(seen).toEqual(['a'])
  await host.close()
})
