import { crc32 } from 'node:zlib'
import { createWorld } from '@atoll/sim'
import { MemoryLevel } from 'memory-level'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { COUNT_RANGE, readCountRow, SLIPS } from '../src/count-rows.ts'
import { type Database, VnodeHost } from '../src/index.ts'
import { VnodeLayout } from '../src/layout.ts'
import type { Operation } from '../src/ports.ts'
import { counted, expectCounts } from './counts.ts'
import {
  content,
  id,
  makeHost,
  memoryStore,
  policyOf,
  STORES,
  type TestRuntime,
  testRuntime,
  write,
} from './world.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
const TOMBSTONE = { tombstone: true }

/** Writes of each kind: new, over another, siblings, blind, deletions, write-once ones twice, removals. */
async function work(host: VnodeHost, round: number): Promise<void> {
  const key = (n: number) => id(`k${n}`)
  const partition = round % 8
  const some = async (n: number) => {
    const { record } = await host.coordinate(write(key(n), content('x'.repeat(n * 10)), partition))
    if (n % 3 === 0) await host.coordinate(write(key(n), content('', TOMBSTONE), partition, record))
    if (n % 4 === 1) await host.put({ partition: (partition + 1) % 8, id: key(n), record })
  }
  const twice = async () => {
    const block = id(`b${round}`, 'blocks')
    const { record } = await host.coordinate(write(block, content('block'), partition))
    await host.put({ partition, id: block, record, isFresh: true })
  }
  await Promise.all([twice(), ...Array.from({ length: 12 }, (_, n) => some(n))])
  const vnode = host.handoffOf(partition)
  const type = round % 3 === 0 ? 'blocks' : 'default'
  const { records } = await vnode.page(undefined, { pageRecords: 3, pageBytes: 1e6 }, type)
  for (const moving of records) await vnode.remove(moving)
}

describe.each(STORES)('counts of a host on %s', (_, makeStore) => {
  let store: ReturnType<typeof makeStore>
  let host: VnodeHost

  beforeEach(async () => {
    store = makeStore()
    host = makeHost(store.database)
    await host.open()
  })

  afterEach(async () => {
    await host.close()
    store.dispose()
  })

  it('are what a walk finds, after writes of every kind, removals and drops', async () => {
    for (let round = 0; round < 20; round++) await work(host, round)
    await expectCounts(host)
    expect(host.stored.records).toBeGreaterThan(60)
    expect(host.stored.tombstones).toBeGreaterThan(5)
    expect([...host.stored.types.keys()].sort()).toEqual(['blocks', 'default'])
    await host.drop(3)
    expect(host.countsOf(3)?.size).toBe(0)
    await expectCounts(host)
    await host.drop(4)
    await work(host, 4)
    await expectCounts(host)
  })

  it('are there at once when the host was opened again, however many batches came before', async () => {
    for (let round = 0; round < 2 * SLIPS; round++) {
      await host.coordinate(write(id(`k${round % 50}`), content('v'.repeat(round % 7)), round % 8))
      if (round % 397 !== 0) continue
      const before = host.stored
      await host.close()
      host = makeHost(store.again())
      await host.open()
      expect(host.stored).toEqual(before)
    }
    await expectCounts(host)
    await host.close()
    const database = store.again()
    await database.open()
    const rows = await database.keys({ ...VIEW, ...COUNT_RANGE }).nextv(2 * SLIPS)
    expect(rows.length).toBeLessThanOrEqual(SLIPS + 8 + 1)
    await database.close()
  })

  it('say what a key counts as', async () => {
    await host.coordinate(write(id('k'), content('12345'), 5))
    expect(counted(host, 5)).toEqual(new Map([['default', { records: 1, bytes: 7, tombstones: 0 }]]))
    const { record } = await host.coordinate(write(id('k'), content('678'), 5))
    expect(counted(host, 5)).toEqual(new Map([['default', { records: 1, bytes: 10, tombstones: 0 }]]))
    await host.coordinate(write(id('k'), content('', TOMBSTONE), 5, record))
    expect(counted(host, 5)).toEqual(new Map([['default', { records: 1, bytes: 2, tombstones: 1 }]]))
  })
})

describe('a directory of a build that kept no counts', () => {
  it('is counted while it is served, and says so until then', async () => {
    const world = createWorld({ seed: 7 })
    await world.run(async () => {
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      const open = async (database: Database) => {
        const host = new VnodeHost(runtime, { database, policyOf }, { node: 'n1', partitions: 8 })
        await host.open()
        return host
      }
      const before = await open(disk.open())
      for (let round = 0; round < 30; round++) await work(before, round)
      await before.close()
      const forgetting = disk.open()
      await forgetting.open()
      await forgetting.clear({ ...VIEW, ...COUNT_RANGE })
      await forgetting.close()

      const host = await open(disk.open())
      expect(host.stored).toMatchObject({ records: 0, counting: 8 })
      expect(host.countsOf(3)).toBeUndefined()
      for (let round = 30; round < 60; round++) {
        await work(host, round)
        await runtime.clock.sleep(1)
      }
      await host.counted
      await expectCounts(host)
      await host.close()

      const again = await open(disk.open())
      await expectCounts(again, 'opened again')
      await again.close()
    })
  })

  it('goes on counting after power cuts', async () => {
    for (let seed = 0; seed < 15; seed++) {
      const world = createWorld({ seed })
      await world.run(async () => {
        const runtime = world.runtime('n1')
        const disk = world.disk('n1')
        const open = async () => {
          const host = new VnodeHost(
            runtime,
            { database: disk.open(), policyOf },
            { node: 'n1', partitions: 8 },
          )
          await host.open()
          return host
        }
        let host = await open()
        for (let crash = 0; crash < 4; crash++) {
          const dropping = crash === 2 ? host.drop(2).catch(() => {}) : undefined
          const writing = Array.from({ length: 6 }, (_, n) => work(host, crash * 3 + n).catch(() => {}))
          await runtime.clock.sleep(runtime.random.below(12))
          disk.crash()
          await Promise.all([...writing, dropping])
          await host.close().catch(() => {})
          host = await open()
        }
        await host.counted
        await expectCounts(host, `seed ${seed}`)
        await host.close()
      })
    }
  })
})

describe('counts after failed batches', () => {
  it('are read again before the next batch, whatever became of those', async () => {
    const database = new Unsure()
    const runtime = testRuntime()
    const host = makeHost(database, runtime)
    await host.open()
    let failed = 0
    for (let round = 0; round < 40; round++) {
      database.fails = round % 3
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, (_, n) =>
          host.coordinate(write(id(`k${n}`), content('v'.repeat(round)), n % 4)),
        ),
      )
      failed += outcomes.filter(({ status }) => status === 'rejected').length
    }
    expect(failed).toBeGreaterThan(50)
    database.fails = 0
    await host.coordinate(write(id('last'), content('v')))
    await expectCounts(host)
    await host.close()
  })
})

describe('counts after a failed batch that nothing follows', () => {
  it('are read again as soon as the database takes writes', async () => {
    const database = new Held()
    const real = testRuntime()
    const timers: (() => void)[] = []
    const timer = (_: number, callback: () => void) => {
      timers.push(callback)
      return { cancel: () => {} }
    }
    const host = makeHost(database, { ...real, clock: { ...real.clock, timer } })
    await host.open()
    await host.coordinate(write(id('k'), content('v')))
    const failing = gate()
    database.held.push(failing.opened, failing.opened)
    failing.open('fails')
    await expect(host.coordinate(write(id('lost'), content('lost')))).rejects.toThrow('failed a batch')
    await turns()
    expect(host.stored.records).toBe(2)
    timers.at(-1)?.()
    await turns()
    expect(host.storage.failure).toBeUndefined()
    expect(host.stored.records).toBe(1)
    await expectCounts(host)
    await host.close()
  })
})

describe('a count that is under way while a batch fails', () => {
  it('is begun anew, and says nothing of what was to be written', async () => {
    const database = new Held()
    const before = makeHost(database)
    await before.open()
    await before.coordinate(write(id('k'), content('v')))
    await before.close()
    await database.open()
    await database.clear({ ...VIEW, ...COUNT_RANGE })
    await database.close()

    const pauses: (() => void)[] = []
    const real = testRuntime()
    const sleep = () => new Promise<void>((resolve) => pauses.push(resolve))
    const host = makeHost(database, { ...real, clock: { ...real.clock, sleep } })
    await host.open()
    await turns()
    pauses.shift()?.()
    await turns()
    expect(pauses.length).toBe(1)
    // The record was passed: what is written to it now is added to what was counted.
    const failing = gate()
    const settling = gate()
    database.held.push(failing.opened, settling.opened)
    const writing = expect(host.coordinate(write(id('k'), content('lost')))).rejects.toThrow('failed a batch')
    await turns()
    pauses.shift()?.()
    await turns()
    failing.open('fails')
    await writing
    await turns()
    settling.open('goes on')
    await turns()
    for (; host.countsOf(1) === undefined; await turns()) pauses.shift()?.()
    await expectCounts(host)
    await host.close()
  })
})

describe('damage', () => {
  let runtime: TestRuntime

  beforeEach(() => {
    runtime = testRuntime()
  })

  it('of a record makes its vnode count anew once it is written over', async () => {
    const store = memoryStore()
    const host = makeHost(store.database, runtime)
    await host.open()
    for (const name of ['a', 'b', 'c']) await host.coordinate(write(id(name), content('', TOMBSTONE)))
    const key = new VnodeLayout(1).dataKey(id('b'))
    await store.database.batch([{ type: 'put', key, value: new Uint8Array(30) }], { ...VIEW, sync: false })
    await host.coordinate(write(id('b'), content('healed')))
    expect(host.countsOf(1)).toBeUndefined()
    await host.counted
    expect(host.countsOf(1)?.get('default')).toEqual({ records: 3, bytes: 12, tombstones: 2 })
    await expectCounts(host)
    await host.close()
  })

  it('of the counts themselves makes those be counted anew that they spoke of', async () => {
    const store = memoryStore()
    for (const what of ['page', 'slip', 'kept']) {
      const first = makeHost(store.again(), runtime)
      await first.open()
      // So many that there are pages.
      for (let round = 0; round < SLIPS / 2; round++)
        await first.coordinate(write(id(`${what} ${round}`), content('v'), round % 8))
      for (let round = 0; round < 10; round++) await work(first, round)
      await first.close()
      const database = store.again()
      await database.open()
      const rows = await database.iterator({ ...VIEW, ...COUNT_RANGE }).nextv(2 * SLIPS)
      const row = rows
        .filter(([key]) => Buffer.from(key).includes(what))
        .sort(bySequence)
        .at(-1)
      expect(row).toBeDefined()
      const operations = row!
        .slice(0, 1)
        .map((key): Operation => ({ type: 'put', key, value: new Uint8Array(9) }))
      await database.batch(operations, { ...VIEW, sync: true })
      await database.close()
      const host = makeHost(store.again(), runtime)
      await host.open()
      expect(host.stored.counting).toBe(what === 'page' ? 1 : 8)
      await host.counted
      await expectCounts(host, what)
      await host.close()
    }
    store.dispose()
  })
})

/** What has the number of a batch comes in order of these. */
function bySequence(...rows: readonly [[Uint8Array, Uint8Array], [Uint8Array, Uint8Array]]): number {
  const [one, other] = rows.map(([key, value]) => {
    const row = readCountRow(key, value, crc32)
    return row.kind === 'slip' ? row.slip.sequence : row.kind === 'page' ? row.page.partition : 0
  })
  return (one ?? 0) - (other ?? 0)
}

/** A database that says of some batches that they failed, and has written every second one of those. */
class Unsure extends MemoryLevel<Uint8Array, Uint8Array> {
  fails = 0
  #count = 0
  readonly #batch = this.batch.bind(this) as unknown as Database['batch']

  constructor() {
    super({ ...VIEW })
    Object.assign(this, { batch: (...request: Parameters<Database['batch']>) => this.#write(...request) })
  }

  async #write(...request: Parameters<Database['batch']>): Promise<void> {
    this.#count += 1
    const isFailing = this.fails > 0 && this.#count % (this.fails + 1) === 0
    if (!isFailing || this.#count % 2 === 0) await this.#batch(...request)
    if (isFailing) throw new Error('nobody knows what became of it')
  }
}

type Outcome = 'goes on' | 'fails'

/** A database of which batches wait, and fail where they are told to. */
class Held extends MemoryLevel<Uint8Array, Uint8Array> {
  readonly held: Promise<Outcome>[] = []
  readonly #batch = this.batch.bind(this) as unknown as Database['batch']

  constructor() {
    super({ ...VIEW })
    Object.assign(this, { batch: (...request: Parameters<Database['batch']>) => this.#write(...request) })
  }

  async #write(...request: Parameters<Database['batch']>): Promise<void> {
    if ((await this.held.shift()) === 'fails') throw new Error('told to fail')
    await this.#batch(...request)
  }
}

function gate(): { readonly opened: Promise<Outcome>; readonly open: (outcome: Outcome) => void } {
  let open: (outcome: Outcome) => void = () => {}
  const opened = new Promise<Outcome>((resolve) => {
    open = resolve
  })
  return { opened, open: (outcome) => open(outcome) }
}

/** Enough of them for whatever waits for nothing but a database in memory. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}
