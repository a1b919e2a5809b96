import { AtollError, type Clock, KiB, utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { Committer } from '../src/committer.ts'
import type { BytesBatchOptions, Operation } from '../src/ports.ts'
import { testRuntime } from './world.ts'

/** A database of which each batch ends when the test says so. */
class SlowDatabase {
  readonly batches: string[][] = []
  readonly options: unknown[] = []
  readonly #ends: { resolve: () => void; reject: (error: Error) => void }[] = []

  batch(operations: Operation[], options: unknown): Promise<void> {
    this.batches.push(operations.map(({ key }) => Buffer.from(key).toString()))
    this.options.push(options)
    return new Promise((resolve, reject) => this.#ends.push({ resolve, reject }))
  }

  /** The batch `at` of those that are under way. */
  async end({ error, at = 0 }: { error?: Error; at?: number } = {}): Promise<void> {
    const [next] = this.#ends.splice(at, 1)
    if (error === undefined) next?.resolve()
    else next?.reject(error)
    await settle()
  }
}

/** One that takes batches while others are under way. Each ends when the test says so, in whatever order. */
class ChainedDatabase extends SlowDatabase {
  readonly chains: BytesBatchOptions['chain'][] = []

  batchBytes(operations: readonly Operation[], { chain, ...options }: BytesBatchOptions): Promise<void> {
    this.chains.push(chain)
    return this.batch([...operations], options)
  }
}

/** What is written here are no records. */
const UNCOUNTED = { queued: () => {}, take: () => [] }

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** The event loop has gone round so often that whoever gathers writes has begun. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 6; turns++) await turn()
}

function setUp<T extends SlowDatabase>(
  database: T,
  limits: { batchOperations?: number; batchBytes?: number } = {},
) {
  const runtime = testRuntime()
  const { metrics } = runtime
  const time = { nowMs: 0 }
  const clock: Clock = {
    ...runtime.clock,
    monotonicMs: () => time.nowMs,
    timer: (delayMs, fire) => {
      expect(delayMs).toBe(0)
      const immediate = setImmediate(fire)
      return { cancel: () => clearImmediate(immediate) }
    },
  }
  let failures = 0
  const onFailed = () => {
    failures += 1
  }
  const committer = new Committer(
    { database, clock, metrics, onFailed, onDone: () => {}, counters: UNCOUNTED, reload: async () => {} },
    { batchOperations: 100, batchBytes: 1000, ...limits },
  )
  const outcomes: string[] = []
  const put = (name: string, bytes = 1) => {
    const operation = { type: 'put', key: utf8(name), value: new Uint8Array(bytes - name.length) } as const
    committer.commit([operation]).then(
      () => outcomes.push(`${name} durable`),
      (error) => outcomes.push(`${name} ${error.code} ${error.definite}`),
    )
  }
  return { database, metrics, put, outcomes, failures: () => failures, time }
}

describe('group commit', () => {
  it('writes together what comes in one turn, and then what came meanwhile', async () => {
    const { database, put, outcomes, metrics } = setUp(new SlowDatabase())
    for (const name of ['a', 'b']) put(name)
    await settle()
    for (const name of ['c', 'd', 'e']) put(name)
    await settle()
    expect(database.batches).toEqual([['a', 'b']])
    expect(outcomes).toEqual([])
    await database.end()
    expect(outcomes).toEqual(['a durable', 'b durable'])
    await database.end()
    expect(database.batches).toEqual([
      ['a', 'b'],
      ['c', 'd', 'e'],
    ])
    expect(outcomes.slice(2)).toEqual(['c durable', 'd durable', 'e durable'])
    expect(new Map(metrics.entries()).get('atoll_vnode_batch_writes_count')).toBe(2)
    expect(database.options[0]).toMatchObject({ sync: true })
  })

  it('cuts batches at either limit, in order, and lets a large write pass alone', async () => {
    const { database, put } = setUp(new SlowDatabase(), { batchOperations: 3, batchBytes: 10 })
    for (const [name, bytes] of [
      ['a', 1],
      ['b', 1],
      ['c', 1],
      ['d', 1],
      ['e', 50],
      ['f', 5],
      ['g', 5],
      ['h', 1],
    ] as const)
      put(name, bytes)
    for (let batch = 0; batch < 6; batch++) {
      await settle()
      await database.end()
    }
    expect(database.batches).toEqual([['a', 'b', 'c'], ['d'], ['e'], ['f', 'g'], ['h']])
  })

  it('lets nobody wait who comes alone', async () => {
    const { database, put } = setUp(new SlowDatabase())
    for (const name of ['a', 'b', 'c']) {
      put(name)
      await Promise.resolve()
      await Promise.resolve()
      expect(database.batches.at(-1)).toEqual([name])
      await database.end()
    }
  })

  it('waits for others while the event loop goes round three times, once there have been several', async () => {
    const { database, put } = setUp(new SlowDatabase())
    for (const name of ['a', 'b']) put(name)
    await turn()
    put('c')
    await turn()
    put('d')
    expect(database.batches).toEqual([])
    await settle()
    expect(database.batches).toEqual([['a', 'b', 'c', 'd']])
    await database.end()
    put('e')
    await turn()
    put('f')
    await settle()
    expect(database.batches.slice(1)).toEqual([['e', 'f']])
  })

  it('does not wait for longer than two milliseconds, nor when a batch is full', async () => {
    const late = setUp(new SlowDatabase())
    for (const name of ['a', 'b']) late.put(name)
    await turn()
    late.time.nowMs += 2
    await turn()
    expect(late.database.batches).toEqual([['a', 'b']])
    const full = setUp(new SlowDatabase(), { batchOperations: 3 })
    for (const name of ['a', 'b']) full.put(name)
    await turn()
    full.put('c')
    await turn()
    expect(full.database.batches).toEqual([['a', 'b', 'c']])
  })

  it('fails a batch as a whole, and what waits behind it definitely', async () => {
    const { database, put, outcomes, failures } = setUp(new SlowDatabase())
    for (const name of ['a', 'b']) put(name)
    await settle()
    put('c')
    await database.end({ error: new Error('disk full') })
    expect(outcomes).toEqual(['a ATOLL_STORAGE false', 'b ATOLL_STORAGE false', 'c ATOLL_STORAGE true'])
    expect(failures()).toBe(1)
    // What was read meanwhile counts once the database has taken something.
    expect(database.batches).toEqual([['a', 'b'], ['!meta!nothing']])
    put('d')
    await settle()
    expect(database.batches).toHaveLength(2)
    await database.end()
    await database.end()
    expect(outcomes.at(-1)).toBe('d durable')
  })
})

describe('batches in a chain', () => {
  const LARGE = 64 * KiB
  const chained = (limits = { batchBytes: 1000 * LARGE }) => setUp(new ChainedDatabase(), limits)

  it('do not wait for each other if there is much to write, and are acknowledged in order', async () => {
    const { database, put, outcomes } = chained()
    put('a')
    await settle()
    put('b')
    await settle()
    expect(database.batches).toEqual([['a']])
    put('c', LARGE)
    await settle()
    put('d')
    await settle()
    expect(database.batches).toEqual([['a'], ['b', 'c'], ['d']])
    expect(new Set(database.chains).size).toBe(1)
    await database.end({ at: 2 })
    await database.end({ at: 1 })
    expect(outcomes).toEqual([])
    await database.end()
    expect(outcomes).toEqual(['a durable', 'b durable', 'c durable', 'd durable'])
    put('e')
    await settle()
    put('f')
    await settle()
    expect(database.batches.slice(3)).toEqual([['e']])
  })

  it('are bounded in number and in bytes', async () => {
    const many = chained()
    for (let n = 0; n < 40; n++) many.put(`${n}`, 1024 * KiB)
    await settle()
    expect(many.database.batches).toHaveLength(16)
    await many.database.end()
    expect(many.database.batches).toHaveLength(17)
    const large = chained({ batchBytes: 2 * LARGE })
    for (let n = 0; n < 10; n++) large.put(`${n}`, LARGE)
    await settle()
    expect(large.database.batches).toHaveLength(1)
    await large.database.end()
    expect(large.database.batches).toHaveLength(2)
  })

  it('fail behind one that has failed, as the database says, once those before are told', async () => {
    const { database, put, outcomes, failures } = chained()
    for (const name of ['a', 'b', 'c']) {
      put(name, LARGE)
      await settle()
    }
    const unwritten = new AtollError('ATOLL_STORAGE', 'a batch before this one failed', { definite: true })
    await database.end({ at: 1, error: new Error('EIO') })
    await database.end({ at: 1, error: unwritten })
    expect(failures()).toBe(0)
    put('d')
    await database.end()
    expect(failures()).toBe(1)
    expect(outcomes).toEqual(['a durable', 'b ATOLL_STORAGE false', 'c ATOLL_STORAGE true'])
    // It was asked for before anybody knew, and the database has it in the old chain.
    await database.end({ error: unwritten })
    expect(outcomes.at(-1)).toBe('d ATOLL_STORAGE true')
    expect(failures()).toBe(1)
    put('e')
    await settle()
    await database.end()
    await database.end()
    expect(outcomes.at(-1)).toBe('e durable')
    expect(database.chains.map((chain) => database.chains.indexOf(chain))).toEqual([0, 0, 0, 0, 4])
  })
})
