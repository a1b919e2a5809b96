import { INDEX_LIMITS } from '@atoll/causality'
import { type Runtime, utf8 } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { describe, expect, it, test } from 'vitest'
import { VnodeHost } from '../src/index.ts'
import { StorageHealth } from '../src/storage-health.ts'
import { content, id, policyOf, type TestRuntime, testRuntime, valuesOf, write } from './world.ts'

/** A memory-level on a disk that fills, and that can say how full it is. */
class Disk extends MemoryLevel<string, string> {
  isFull = false
  room = true

  hasRoom(): boolean {
    return this.room
  }

  async _batch(...batch: readonly unknown[]): Promise<void> {
    if (this.isFull) throw new Error('IO error: /data/000012.log: No space left on device')
    await Reflect.apply(Reflect.get(MemoryLevel.prototype, '_batch'), this, batch)
  }
}

/** Timers wait to be told. */
function patient(): { runtime: TestRuntime; fire: () => Promise<void>; waiting: () => number } {
  const runtime = testRuntime()
  const timers: (() => void)[] = []
  const timer: Runtime['clock']['timer'] = (_, run) => {
    timers.push(run)
    const cancel = () => {
      if (timers.includes(run)) timers.splice(timers.indexOf(run), 1)
    }
    return { cancel }
  }
  const fire = async () => {
    timers.shift()?.()
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  }
  return {
    runtime: Object.assign(runtime, { clock: { ...runtime.clock, timer } }),
    fire,
    waiting: () => timers.length,
  }
}

async function setUp() {
  const disk = new Disk()
  const world = patient()
  const host = new VnodeHost(world.runtime, { database: disk, policyOf }, { node: 'n1', partitions: 8 })
  await host.open()
  return { disk, host, ...world }
}

const FULL = { code: 'ATOLL_DISK_FULL', transient: true, details: { reason: 'ENOSPC' } }

describe('a disk that fills', () => {
  it('is named by every write, counted, told, and found to have room again without a write', async () => {
    const { disk, host, runtime, fire, waiting } = await setUp()
    const { record } = await host.coordinate(write(id('k'), content('v')))
    expect(host.storage).toEqual({ failure: undefined, failedSinceMs: undefined, missed: 0, hasRoom: true })
    disk.isFull = true
    runtime.wallMs = 5_000_000
    await expect(host.coordinate(write(id('l'), content('v')))).rejects.toMatchObject(FULL)
    for (const key of ['m', 'n', 'o']) {
      await expect(host.put({ partition: 1, id: id(key), record })).rejects.toMatchObject(FULL)
    }
    const failing = { failedSinceMs: 5_000_000, missed: 3, hasRoom: true }
    expect(host.storage).toEqual({ ...failing, failure: expect.stringMatching(/No space left/) })
    expect(runtime.metrics.value('atoll_vnode_storage_failed')).toBe(1)
    expect(runtime.metrics.value('atoll_vnode_missed_writes_total')).toBe(3)
    await fire()
    expect(host.storage.failure).toMatch(/No space left/)
    disk.isFull = false
    await fire()
    expect(host.storage).toMatchObject({ failure: undefined, missed: 3 })
    expect(runtime.metrics.value('atoll_vnode_storage_failed')).toBe(0)
    expect(waiting()).toBe(0)
    await host.put({ partition: 1, id: id('m'), record })
    await host.close()
  })

  it('is not asked any more once the host is closed, of which nothing is told then', async () => {
    const { disk, host, runtime, waiting } = await setUp()
    disk.isFull = true
    await expect(host.coordinate(write(id('l'), content('v')))).rejects.toMatchObject(FULL)
    expect(waiting()).toBe(1)
    expect(runtime.metrics.value('atoll_vnode_storage_failed')).toBe(1)
    await host.close()
    expect(waiting()).toBe(0)
    expect(runtime.metrics.value('atoll_vnode_storage_failed')).toBe(0)
  })
})

describe('the last room of a disk', () => {
  it('is for deletes, and for what makes a record no longer', async () => {
    const { disk, host } = await setUp()
    const { record } = await host.coordinate(write(id('k'), content('a value of some length')))
    const { record: block } = await host.coordinate(write(id('b', 'blocks'), content('block')))
    disk.room = false
    const refused = { code: 'ATOLL_DISK_FULL', definite: true, details: { reason: 'reserve' } }
    await expect(host.coordinate(write(id('l'), content('new')))).rejects.toMatchObject(refused)
    await expect(
      host.coordinate(write(id('k'), content(new Uint8Array(2000)), 1, record)),
    ).rejects.toMatchObject(refused)
    await expect(host.coordinate(write(id('c', 'blocks'), content('block')))).rejects.toMatchObject(refused)
    await expect(host.put({ partition: 1, id: id('m'), record })).rejects.toMatchObject(refused)
    expect(host.storage).toMatchObject({ hasRoom: false, failure: undefined, missed: 1 })

    const shorter = await host.coordinate(write(id('k'), content('short'), 1, record))
    const gone = content('', { tombstone: true })
    await host.coordinate(write(id('k'), gone, 1, shorter.record))
    await host.coordinate(write(id('b', 'blocks'), gone, 1, block))
    await host.coordinate(write(id('never there'), gone))
    disk.room = true
    const { record: after } = await host.coordinate(write(id('l'), content('new')))
    expect(valuesOf(after)).toEqual(['new'])
    await host.close()
  })
})

describe('indexes of a write', () => {
  const entry = { index: 'list', scope: utf8('s'), term: utf8('t'), payload: utf8('p') }
  const tooMuch: readonly [string, RegExp, object][] = [
    ['term', /term must have 0 to 4096 bytes, got 200000/, { term: new Uint8Array(200_000) }],
    ['scope', /scope must have 0 to 4096 bytes, got 5000/, { scope: new Uint8Array(5000) }],
    ['payload', /payload must have 0 to 65536 bytes, got 65537/, { payload: new Uint8Array(65_537) }],
    ['name', /index must be a name of 1 to 64 characters/, { index: 'x'.repeat(65) }],
  ]

  it.each(tooMuch)(
    'with a %s over its limit are refused before anything is stored',
    async (_, message, over) => {
      const { host } = await setUp()
      const indexes = [entry, { ...entry, ...over }]
      for (const _attempt of [1, 2]) {
        const refused = host.coordinate(write(id('k'), content('v', { indexes })))
        await expect(refused).rejects.toThrow(message)
        await expect(refused).rejects.toThrow(RangeError)
      }
      expect(await host.get({ partition: 1, id: id('k') })).toEqual({ record: undefined, corrupt: false })
      await host.close()
    },
  )

  it('are too many past the limit', async () => {
    const { host } = await setUp()
    const indexes = Array.from({ length: INDEX_LIMITS.entries + 1 }, () => entry)
    const refused = host.coordinate(write(id('k'), content('v', { indexes })))
    await expect(refused).rejects.toThrow(/at most 1000 entries, got 1001/)
    await host.close()
  })

  it('that an earlier build stored are merged and replaced, however long they are', async () => {
    const { host } = await setUp()
    const long = { ...entry, term: new Uint8Array(200_000).fill(7) }
    const first = await host.coordinate(write(id('k'), content('v')))
    const [sibling] = first.record.siblings
    if (sibling === undefined) throw new Error('a record has a sibling')
    const stored = { ...first.record, siblings: [{ ...sibling, indexes: [long] }] }
    await host.put({ partition: 2, id: id('old'), record: stored })
    await host.put({ partition: 2, id: id('old'), record: stored })
    const { record } = await host.get({ partition: 2, id: id('old') })
    await host.coordinate(write(id('old'), content('w'), 2, record))
    expect(valuesOf((await host.get({ partition: 2, id: id('old') })).record)).toEqual(['w'])
    await host.close()
  })
})

it('a clock before 1970 coordinates nothing, and says so', async () => {
  const { host, runtime } = await setUp()
  await host.coordinate(write(id('k'), content('v')))
  runtime.wallMs = -1
  await expect(host.coordinate(write(id('l'), content('v')))).rejects.toMatchObject({
    code: 'ATOLL_CLOCK',
    definite: true,
    message: expect.stringMatching(/wall clock is before 1970 \(-1 ms\)/),
  })
  runtime.wallMs = 0
  await host.coordinate(write(id('l'), content('v')))
  await host.close()
})

test('of a database that is closed nothing is tried, whatever was under way fails with', async () => {
  const { runtime, fire, waiting } = patient()
  let tries = 0
  const tryWrite = async () => {
    tries += 1
    throw new Error('the database is not open')
  }
  const health = new StorageHealth({ ...runtime, hasRoom: () => true, tryWrite })
  health.open()
  health.failed(new Error('a batch failed'))
  expect(waiting()).toBe(1)
  await fire()
  expect(tries).toBe(1)
  await health.close()
  expect(waiting()).toBe(0)
  health.failed(new Error('what was under way'))
  expect(waiting()).toBe(0)
  expect(health.state.failure).toBeUndefined()
  // Whoever closes says by that whether all that was written is known.
  expect(health.hasFailed).toBe(true)
  health.open()
  expect(health.hasFailed).toBe(false)
  health.failed(new Error('a batch failed'))
  expect(waiting()).toBe(1)
  await health.close()
})
