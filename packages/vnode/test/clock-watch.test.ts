import { mergeRecords, type StoredRecord } from '@atoll/causality'
import { type Log, quietLog } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { MAX_CLOCK_ENTRIES } from '../src/clock-watch.ts'
import { content, id, makeHost, testRuntime, valuesOf, write } from './world.ts'

const KEY = id('hot')

/** What the record was when as many lives had written it, each once, each after the one before. */
function lived(record: StoredRecord, lives: number): StoredRecord {
  const clock = new Map(record.clock)
  for (let life = 0; clock.size < lives; life++) clock.set(life.toString(16).padStart(16, 'f'), 1)
  return { ...record, clock }
}

test('a clock past its bound takes no further actor, loses nothing, and whom it has may still write', async () => {
  const lines: string[] = []
  const runtime = testRuntime()
  const log: Log = { ...quietLog, warn: (_fields, text) => void lines.push(text) }
  const host = makeHost(new MemoryLevel<string, string>(), { ...runtime, log })
  await host.open()
  const entries = () => runtime.metrics.value('atoll_vnode_clock_entries')
  expect(entries()).toBe(0)
  const { record } = await host.coordinate(write(id('other'), content('elsewhere'), 2))
  expect(entries()).toBe(1)
  expect(lines).toEqual([])

  // Of other lives: merged, whatever it is.
  for (const lives of [999, 1000, 1500, 2000])
    await host.put({ partition: 1, id: KEY, record: lived(record, lives) })
  expect(lines.map((line) => line.slice(0, 46))).toEqual([
    'the clock of a record has 1000 entries, one fo',
    'the clock of a record has 2000 entries, one fo',
  ])
  const full = lived(record, MAX_CLOCK_ENTRIES)
  await host.put({ partition: 1, id: KEY, record: full })
  expect(entries()).toBe(MAX_CLOCK_ENTRIES)

  const refused = { code: 'ATOLL_TOO_LARGE', definite: true }
  await expect(host.coordinate(write(KEY, content('new'), 1, full))).rejects.toMatchObject(refused)
  const held = await host.get({ partition: 1, id: KEY })
  expect(valuesOf(held.record)).toEqual(['elsewhere'])
  expect(held.record?.clock.size).toBe(MAX_CLOCK_ENTRIES)
  const larger = lived(record, MAX_CLOCK_ENTRIES + 5)
  await host.put({ partition: 1, id: KEY, record: larger })
  expect((await host.get({ partition: 1, id: KEY })).record?.clock.size).toBe(MAX_CLOCK_ENTRIES + 5)

  // The actor of partition 2 is one of the clock's: it goes on.
  await host.put({ partition: 2, id: id('other'), record: lived(record, MAX_CLOCK_ENTRIES) })
  const known = (await host.get({ partition: 2, id: id('other') })).record
  const { record: next } = await host.coordinate(write(id('other'), content('on'), 2, known))
  expect(valuesOf(next)).toEqual(['on'])
  await host.close()
})

test('an entry that is taken out of a clock, though it is dominated and its life is over, brings back what was deleted', async () => {
  const host = makeHost(new MemoryLevel<string, string>())
  await host.open()
  const { record: before } = await host.coordinate(write(KEY, content('before')))
  host.renewActors()
  const { record: deleted } = await host.coordinate(write(KEY, content('', { tombstone: true }), 1, before))
  await host.close()
  const showing = (record: StoredRecord) =>
    record.siblings.filter(({ tombstone }) => !tombstone).map(({ value }) => Buffer.from(value).toString())
  const policy = { kind: 'siblings' } as const
  // A fallback, or a directory that was put back, has what was there before.
  expect(showing(mergeRecords(policy, deleted, before))).toEqual([])
  const [old = ''] = before.clock.keys()
  const folded = { ...deleted, clock: new Map([...deleted.clock].filter(([actor]) => actor !== old)) }
  expect(folded.clock.size).toBe(1)
  expect(showing(mergeRecords(policy, folded, before))).toEqual(['before'])
})
