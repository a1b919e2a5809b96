import { createWorld, type SimDisk, type SimRuntime } from '@atoll/sim'
import { describe, expect, it } from 'vitest'
import { guardDatabase, type VnodeHost } from '../src/index.ts'
import { collect, content, id, makeHost, valuesOf, write } from './world.ts'

const REFUSED = { code: 'ATOLL_STORAGE', definite: true, transient: true }
const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
/** The types of abstract-level do not name it. */
const SYNC: object = { sync: true }

/** Runs in a world with a disk on which a failed write tears the log, as one of LevelDB does. */
function onTornDisk(run: (disk: SimDisk, runtime: SimRuntime) => Promise<void>): Promise<unknown> {
  const world = createWorld({ seed: 7, disk: { tornByFailure: true } })
  const disk = world.disk('n1')
  const runtime = world.runtime('n1')
  return world.run(() => run(disk, runtime))
}

const readable = async (host: VnodeHost, keys: readonly string[]) => {
  const found: string[] = []
  for (const key of keys) {
    if (valuesOf((await host.get({ partition: 1, id: id(key) })).record).length > 0) found.push(key)
  }
  return found
}

describe('a database that loses what it acknowledges after a failed write', () => {
  it('really does so without a guard', () =>
    onTornDisk(async (disk) => {
      const database = disk.open()
      await database.put('before', '1', SYNC)
      disk.failWrites()
      await expect(database.put('failed', '1', SYNC)).rejects.toThrow('a write failed')
      await database.put('after', '1', SYNC)
      expect(await database.keys().all()).toEqual(['after', 'before'])
      await database.close()
      await database.open()
      expect(await database.keys().all()).toEqual(['before'])
      await database.close()
    }))

  it('takes no write until it was opened again by itself, and then keeps all that was acknowledged', () =>
    onTornDisk(async (disk, runtime) => {
      const host = makeHost(disk.open(), runtime)
      await host.open()
      const acknowledged: string[] = []
      const put = async (key: string) => {
        await host.coordinate(write(id(key), content(key)))
        acknowledged.push(key)
      }
      await put('before')
      disk.failWrites()
      await expect(put('failed')).rejects.toMatchObject({ code: 'ATOLL_STORAGE', definite: false })
      await expect(put('refused')).rejects.toMatchObject(REFUSED)
      expect(host.storage.failure).toMatch(/a write failed/)
      expect(runtime.metrics.value('atoll_vnode_storage_failed')).toBe(1)
      expect(await readable(host, ['before', 'refused'])).toEqual(['before'])
      await runtime.clock.sleep(5000)
      expect(host.storage.failure).toBeUndefined()
      expect(runtime.metrics.value('atoll_vnode_storage_failed')).toBe(0)
      expect(runtime.metrics.value('atoll_vnode_storage_reopened_total')).toBe(1)
      for (let at = 0; at < 20; at++) await put(`after${at}`)
      await host.close()
      const next = makeHost(disk.open(), runtime)
      await next.open()
      expect(await readable(next, acknowledged)).toEqual(acknowledged)
      expect(acknowledged).toHaveLength(21)
      await next.close()
    }))

  it('is one for vnodes and for what else is kept in it, whichever of them has failed', () =>
    onTornDisk(async (disk, runtime) => {
      const database = guardDatabase(disk.open(), { runtime })
      const host = makeHost(database, runtime)
      await host.open()
      const note = (name: string) =>
        database.batch([{ type: 'put', key: Buffer.from(name), value: Buffer.from('v') }], {
          ...VIEW,
          sync: true,
        })
      await note('first')
      disk.failWrites()
      await expect(note('failed')).rejects.toThrow('a write failed')
      await expect(host.coordinate(write(id('k'), content('v')))).rejects.toMatchObject(REFUSED)
      expect(host.storage.failure).toMatch(/a write failed/)
      await runtime.clock.sleep(5000)
      await host.coordinate(write(id('k'), content('v')))
      disk.failWrites()
      await expect(host.coordinate(write(id('k'), content('v')))).rejects.toMatchObject({ definite: false })
      await expect(note('refused')).rejects.toMatchObject(REFUSED)
      await runtime.clock.sleep(5000)
      await note('last')
      await host.close()
    }))

  it('whose opening fails is opened later; until then reads fail as transient, and writes certainly did not happen', () =>
    onTornDisk(async (disk, runtime) => {
      const database = disk.open()
      const guard = guardDatabase(database, { runtime })
      const host = makeHost(guard, runtime)
      await host.open()
      for (const key of ['a', 'b', 'c']) await host.coordinate(write(id(key), content(key)))
      const iterator = guard.keys({ ...VIEW, gte: new Uint8Array(0) })
      await iterator.nextv(1)
      disk.failWrites()
      await expect(host.coordinate(write(id('d'), content('d')))).rejects.toMatchObject({ definite: false })
      expect(await collect(host.fold(1))).toHaveLength(3)
      // Another one has the lock when it is to be opened.
      const other = disk.open()
      database.once('closed', () => void other.open())
      await runtime.clock.sleep(400)
      expect(database.status).toBe('closed')
      const read = () => host.get({ partition: 1, id: id('a') })
      await expect(read()).rejects.toMatchObject(REFUSED)
      await expect(host.count(1)).rejects.toMatchObject(REFUSED)
      await expect(collect(host.fold(1))).rejects.toMatchObject(REFUSED)
      await expect(iterator.nextv(1)).rejects.toMatchObject(REFUSED)
      await expect(host.coordinate(write(id('d'), content('d')))).rejects.toMatchObject(REFUSED)
      await other.close()
      await runtime.clock.sleep(10_000)
      expect(valuesOf((await read()).record)).toEqual(['a'])
      await host.coordinate(write(id('d'), content('d')))
      expect(host.storage.failure).toBeUndefined()
      await host.close()
    }))

  it('is read without a failure while it is opened again', () =>
    onTornDisk(async (disk, runtime) => {
      const host = makeHost(disk.open(), runtime)
      await host.open()
      for (const key of ['a', 'b', 'c']) await host.coordinate(write(id(key), content(key)))
      disk.failWrites()
      await expect(host.coordinate(write(id('d'), content('d')))).rejects.toMatchObject({ definite: false })
      await runtime.clock.sleep(240)
      const until = runtime.clock.monotonicMs() + 60
      while (runtime.clock.monotonicMs() < until) {
        expect(valuesOf((await host.get({ partition: 1, id: id('a') })).record)).toEqual(['a'])
        await runtime.clock.sleep(0.05)
      }
      expect(runtime.metrics.value('atoll_vnode_storage_reopened_total')).toBe(1)
      await host.close()
    }))

  it('loses nothing that was acknowledged, whenever writes fail and the power is cut', async () => {
    let [acknowledged, failed] = [0, 0]
    for (let seed = 0; seed < 20; seed++) {
      const world = createWorld({ seed, disk: { tornByFailure: true } })
      const runtime = world.runtime('n1')
      const disk = world.disk('n1')
      await world.run(async () => {
        const kept: string[] = []
        for (let life = 0; life < 3; life++) {
          const host = makeHost(disk.open(), runtime)
          await host.open()
          expect(await readable(host, kept)).toEqual(kept)
          disk.failWrites({ after: runtime.random.below(10), count: 1 + runtime.random.below(3) })
          const puts = Array.from({ length: 30 }, async (_, at) => {
            await runtime.clock.sleep(runtime.random.below(2000))
            const key = `${life}/${at}`
            const put = host.coordinate(write(id(key), content(key)))
            await put.then(() => kept.push(key)).catch(() => (failed += 1))
          })
          await Promise.all(puts)
          if (life === 1) disk.crash()
          disk.heal()
          await host.close()
        }
        acknowledged += kept.length
        const last = makeHost(disk.open(), runtime)
        await last.open()
        expect(await readable(last, kept)).toEqual(kept)
        await last.close()
      })
    }
    expect(acknowledged).toBeGreaterThan(500)
    expect(failed).toBeGreaterThan(100)
  })

  it('is left alone by a host that is closed', () =>
    onTornDisk(async (disk, runtime) => {
      const database = disk.open()
      const host = makeHost(database, runtime)
      await host.open()
      disk.failWrites()
      await expect(host.coordinate(write(id('d'), content('d')))).rejects.toMatchObject({ definite: false })
      await host.close()
      await runtime.clock.sleep(20_000)
      expect(database.status).toBe('closed')
      expect(runtime.metrics.value('atoll_vnode_storage_reopened_total')).toBe(0)
    }))
})

describe('a sublevel of such a database', () => {
  it('takes no write until its owner has closed and opened the whole', () =>
    onTornDisk(async (disk, runtime) => {
      const lines: string[] = []
      const error = (_: object, line: string) => void lines.push(line)
      const log = { ...runtime.log, error, warn: error }
      const whole = disk.open()
      const place = () => whole.sublevel<Uint8Array, Uint8Array>(['atoll', 'n1'], VIEW)
      const host = makeHost(place(), { ...runtime, log })
      await host.open()
      await host.coordinate(write(id('before'), content('v')))
      disk.failWrites()
      await expect(host.coordinate(write(id('d'), content('d')))).rejects.toMatchObject({ definite: false })
      await runtime.clock.sleep(30_000)
      expect(whole.status).toBe('open')
      const told = /close that database and open it again$/
      expect(lines).toEqual(['the database takes no writes', expect.stringMatching(told)])
      await expect(host.coordinate(write(id('d'), content('d')))).rejects.toMatchObject(REFUSED)
      await host.close()
      // Another node beside it, or the same one opened anew, knows of it.
      const again = makeHost(place(), runtime)
      await again.open()
      await expect(again.coordinate(write(id('d'), content('d')))).rejects.toMatchObject(REFUSED)
      expect(again.storage.failure).toMatch(/a write failed/)
      await whole.close()
      await whole.open()
      await runtime.clock.sleep(15_000)
      await again.coordinate(write(id('d'), content('d')))
      expect(await readable(again, ['before', 'd'])).toEqual(['before', 'd'])
      expect(again.storage.failure).toBeUndefined()
      await again.close()
      await whole.close()
    }))
})

describe('a database that says that a failed write harms no other', () => {
  it('is written to at once, and not opened again', async () => {
    const world = createWorld({ seed: 7 })
    const runtime = world.runtime('n1')
    const disk = world.disk('n1')
    await world.run(async () => {
      const host = makeHost(disk.open(), runtime)
      await host.open()
      disk.failWrites()
      await expect(host.coordinate(write(id('d'), content('d')))).rejects.toMatchObject({ definite: false })
      await host.coordinate(write(id('d'), content('d')))
      expect(host.storage.failure).toBeUndefined()
      await runtime.clock.sleep(20_000)
      expect(runtime.metrics.value('atoll_vnode_storage_reopened_total')).toBe(0)
      await host.close()
    })
  })
})
