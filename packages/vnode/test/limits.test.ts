import { utf8 } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { describe, expect, it } from 'vitest'
import type { VnodeHostOptions } from '../src/index.ts'
import type { Database } from '../src/ports.ts'
import { content, id, makeHost, testRuntime, write } from './world.ts'

const OVERLOADED = { code: 'ATOLL_OVERLOADED', definite: true, transient: true }

/** A database that reads nothing at once, so that decisions wait for each other. */
function unhurried(database: Database): Database {
  return new Proxy(database, {
    get: (target, name) => {
      if (name === 'supports') return { ...target.supports, getSync: false }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function openHost(
  options: Partial<VnodeHostOptions>,
  change: (database: Database) => Database = (database) => database,
) {
  const database = new MemoryLevel<string, string>()
  const runtime = testRuntime()
  const host = makeHost(change(database), runtime, options)
  await host.open()
  return { host, runtime, database }
}

const codesOf = async (promises: readonly Promise<unknown>[]) =>
  (await Promise.allSettled(promises)).map((one) => (one.status === 'fulfilled' ? 'done' : one.reason.code))

describe('limits', () => {
  it('refuse a write too many, and take writes again later', async () => {
    const { host } = await openHost({ queueWrites: 3 })
    const start = (name: string) => host.coordinate(write(id(name), content('v')))
    const codes = await codesOf(['a', 'b', 'c', 'd'].map(start))
    expect(codes).toEqual(['done', 'done', 'done', 'ATOLL_OVERLOADED'])
    await start('d')
    await host.close()
  })

  it('refuse bytes too many, but never a single write', async () => {
    const { host } = await openHost({ queueBytes: 1000 })
    const start = (name: string, bytes: number) =>
      host.coordinate(write(id(name), content(new Uint8Array(bytes))))
    expect(await codesOf([start('a', 600), start('b', 600)])).toEqual(['done', 'ATOLL_OVERLOADED'])
    expect(await codesOf([start('c', 5000)])).toEqual(['done'])
    await host.close()
  })

  it('refuse writes too many of one key', async () => {
    const { host } = await openHost({ keyWrites: 2 }, unhurried)
    const start = (name: string) => host.coordinate(write(id(name), content('v')))
    const [first, second, third, fourth, other] = ['k', 'k', 'k', 'k', 'other'].map(start)
    await expect(fourth).rejects.toMatchObject(OVERLOADED)
    await Promise.all([first, second, third, other])
    await host.close()
  })

  it('refuse a record that grows too large, and keep what is there', async () => {
    const { host } = await openHost({ recordBytes: 1000 })
    const start = (bytes: number) => host.coordinate(write(id('k'), content(new Uint8Array(bytes))))
    const { record } = await start(600)
    await expect(start(600)).rejects.toMatchObject({ code: 'ATOLL_TOO_LARGE', definite: true })
    expect(await host.get({ partition: 1, id: id('k') })).toEqual({ record, corrupt: false })
    await host.close()
  })

  it('refuse keys and partitions that cannot be, by name', async () => {
    const { host } = await openHost({})
    await expect(host.get({ partition: 8, id: id('k') })).rejects.toThrow(
      /partition must be .* 0 to 7, got 8/,
    )
    await expect(host.get({ partition: 1, id: id('') })).rejects.toThrow(
      /key must have 1 to 4096 bytes, got 0/,
    )
    const long = { ...id('k'), bucket: utf8('b'.repeat(1025)) }
    await expect(host.get({ partition: 1, id: long })).rejects.toThrow(/bucket must have 1 to 1024 bytes/)
    await expect(host.get({ partition: 1, id: id('k', 'UP') })).rejects.toThrow(/type must be .*"UP"/)
    await host.close()
  })
})

describe('cost', () => {
  it('many writes share few synced batches, also those of one key', async () => {
    const { host, runtime, database } = await openHost({})
    let batches = 0
    const batch = database.batch.bind(database) as (...args: unknown[]) => Promise<void>
    Object.assign(database, {
      batch: async (...args: unknown[]) => {
        batches += 1
        await new Promise((resolve) => setImmediate(resolve))
        return batch(...args)
      },
    })
    await Promise.all(
      Array.from({ length: 500 }, (_, at) => host.coordinate(write(id(`k${at}`), content('v'), at % 8))),
    )
    await Promise.all(
      Array.from({ length: 50 }, () => host.coordinate(write(id('hot', 'lww'), content('v')))),
    )
    expect(batches).toBeLessThan(15)
    expect(new Map(runtime.metrics.entries()).get('atoll_vnode_batch_writes_count')).toBe(batches)
    expect(runtime.marks.get('vnode.write-on-pending')).toBe(49)
    await host.close()
  })

  it('what a reader does to a value does not reach a database in memory', async () => {
    const { host } = await openHost({})
    await host.coordinate(write(id('k'), content('value')))
    const { record } = await host.get({ partition: 1, id: id('k') })
    record?.siblings[0]?.value.fill(0)
    expect((await host.get({ partition: 1, id: id('k') })).corrupt).toBe(false)
    await host.close()
  })
})
