import { utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { Committer } from '../src/committer.ts'
import type { Operation } from '../src/ports.ts'
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

  async end(error?: Error): Promise<void> {
    const next = this.#ends.shift()
    if (error === undefined) next?.resolve()
    else next?.reject(error)
    await settle()
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

function setUp(limits: { batchOperations?: number; batchBytes?: number } = {}) {
  const database = new SlowDatabase()
  const { clock, metrics } = testRuntime()
  let failures = 0
  const onFailed = () => {
    failures += 1
  }
  const committer = new Committer(
    { database, clock, metrics, onFailed, onDone: () => {} },
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
  return { database, metrics, put, outcomes, failures: () => failures }
}

describe('group commit', () => {
  it('writes together what comes in one turn, and then what came meanwhile', async () => {
    const { database, put, outcomes, metrics } = setUp()
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
    const { database, put } = setUp({ batchOperations: 3, batchBytes: 10 })
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

  it('fails a batch as a whole, and what waits behind it definitely', async () => {
    const { database, put, outcomes, failures } = setUp()
    for (const name of ['a', 'b']) put(name)
    await settle()
    put('c')
    await database.end(new Error('disk full'))
    expect(outcomes).toEqual(['a ATOLL_STORAGE false', 'b ATOLL_STORAGE false', 'c ATOLL_STORAGE true'])
    expect(failures()).toBe(1)
    expect(database.batches).toEqual([['a', 'b']])
    put('d')
    await settle()
    await database.end()
    expect(outcomes.at(-1)).toBe('d durable')
  })
})
