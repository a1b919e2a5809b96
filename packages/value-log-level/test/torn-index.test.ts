import { createWorld, type SimLevel, type SimRuntime, type SimDisk as TornDisk } from '@atoll/sim'
import { describe, expect, test } from 'vitest'
import { ValueLogLevel, type ValueLogOptions } from '../src/index.ts'
import { type Held, held } from './held.ts'
import { SimDisk } from './sim-disk.ts'
import { contents, type Db, SMALL_LOG } from './workload.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const

interface Place {
  readonly runtime: SimRuntime
  /** Of the index: a failed write tears its log, as one of LevelDB does. */
  readonly index: TornDisk
  readonly log: SimDisk
  readonly open: (options?: ValueLogOptions, inner?: SimLevel) => Db
}

function onTornIndex(run: (place: Place) => Promise<void>): Promise<unknown> {
  const world = createWorld({ seed: 9, disk: { tornByFailure: true } })
  const runtime = world.runtime('n1')
  const index = world.disk('n1')
  const log = new SimDisk()
  const open = (options: ValueLogOptions = {}, inner = index.open(VIEW)): Db =>
    new ValueLogLevel(
      runtime,
      { inner, files: log.files() },
      { valueEncoding: 'view', valueLog: { ...SMALL_LOG, ...options } },
    )
  return world.run(() => run({ runtime, index, log, open }))
}

/** What the next program finds, which must be all that was acknowledged. */
async function expectFound({ open }: Place, expected: ReadonlyMap<string, string>): Promise<void> {
  const next = open()
  await next.open()
  expect(await contents(next)).toEqual(expected)
  await next.close()
}

/** The operations of the inner database so far are with it, whether it has taken them or failed. */
const applied = (runtime: SimRuntime) => runtime.clock.sleep(110)

/** Compacts ranges as LevelDB does, by going on to the next log; the test holds it there. */
function withCompactRange(level: SimLevel, { hold }: Held): SimLevel {
  level.supports.additionalMethods['compactRange'] = true
  return Object.assign(level, { compactRange: hold })
}

const large = (byte: number) => Buffer.alloc(3000, byte)
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

describe('a checkpoint does not go behind a write of the index that has failed', () => {
  test('when it is closed before it was opened again', () =>
    onTornIndex(async (place) => {
      const { open, index, log, runtime } = place
      const first = open()
      await first.put('a', large(1), { sync: true })
      await first.close()
      const db = open()
      await db.open()
      log.freeBytes = 0
      index.failWrites()
      await db.put('b', large(2), { sync: true })
      await applied(runtime)
      expect(db.failure).toMatchObject({ code: 'ATOLL_STORAGE', definite: false })
      await db.close()
      const expected = new Map([
        ['a', text(large(1))],
        ['b', text(large(2))],
      ])
      await expectFound(place, expected)
    }))

  test('when that write failed while the checkpoint was under way', () =>
    onTornIndex(async (place) => {
      const { open, index, log, runtime } = place
      const first = open()
      await first.open()
      await first.close()
      const settling = held()
      const db = open({}, withCompactRange(index.open(VIEW), settling))
      const expected = new Map<string, string>()
      for (let n = 0; n < 30; n++) {
        await db.put(`k${n}`, large(n), { sync: true })
        expected.set(`k${n}`, text(large(n)))
      }
      await settling.reached
      index.failWrites()
      await db.put('beside', large(1), { sync: true })
      expected.set('beside', text(large(1)))
      await applied(runtime)
      expect(db.failure).toMatchObject({ code: 'ATOLL_STORAGE', definite: false })
      log.freeBytes = 0
      settling.letGo()
      await db.close()
      await expectFound(place, expected)
    }))

  test('when that write was a checkpoint: the index is opened again, and space is given back', () =>
    onTornIndex(async (place) => {
      const { open, index, log, runtime } = place
      const first = open({ compactAtLiveShare: 0, checkpointBytes: 1e9 })
      for (let n = 0; n < 60; n++) await first.put(`k${n}`, large(n), { sync: true })
      for (let n = 0; n < 60; n++) await first.put(`k${n}`, Buffer.of(n), { sync: true })
      await first.close()
      const before = [...log.image.files.keys()]
      const expected = new Map(Array.from({ length: 60 }, (_, n) => [`k${n}`, text(Buffer.of(n))]))
      // The first write of an opening is its checkpoint; the second is that of the compaction.
      index.failWrites({ after: 1 })
      const db = open({ reserveBytes: 0 })
      await db.open()
      await runtime.clock.sleep(60_000)
      expect(log.image.files.size).toBeLessThan(before.length)
      await db.close()
      await expectFound(place, expected)
      expect(runtime.metrics.value('atoll_value_log_reopened_total')).toBe(1)
    }))
})
