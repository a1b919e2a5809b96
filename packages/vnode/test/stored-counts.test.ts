import { crc32 } from 'node:zlib'
import { MemoryLevel } from 'memory-level'
import { beforeEach, describe, expect, it } from 'vitest'
import { KEPT_KEY, pageRow, SLIPS, slipRow } from '../src/count-rows.ts'
import { Counters } from '../src/counters.ts'
import type { CountStep, Counts } from '../src/counts.ts'
import type { Database, Operation } from '../src/ports.ts'
import { seal } from '../src/seal.ts'
import { readCounts } from '../src/stored-counts.ts'
import { testRuntime } from './world.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view' } as const
const PARTITIONS = 64
const RECORD = { records: 1, bytes: 10, tombstones: 0 }

let database: Database
let counters: Counters

beforeEach(async () => {
  database = new MemoryLevel<Uint8Array, Uint8Array>(VIEW)
  await database.open()
  counters = await loaded()
})

async function loaded(): Promise<Counters> {
  const made = new Counters({ runtime: testRuntime(), database, onUnknown: () => {} })
  await made.load(PARTITIONS)
  return made
}

function put(partition: number, type = 'default'): CountStep {
  return { kind: 'add', partition, type, key: new Uint8Array(), name: '', ...RECORD }
}

/** A put in each of the first partitions. */
function puts(partitions: number): readonly CountStep[] {
  return Array.from({ length: partitions }, (_, partition) => put(partition))
}

async function write(steps: readonly CountStep[]): Promise<void> {
  await batch(counters.take(steps))
}

async function batch(operations: readonly Operation[]): Promise<void> {
  await database.batch([...operations], { ...VIEW, sync: false })
}

async function expectSame(where: string): Promise<void> {
  const again = await loaded()
  expect(again.sum(), where).toEqual(counters.sum())
  for (let partition = 0; partition < PARTITIONS; partition++)
    expect(again.of(partition), `${where}, partition ${partition}`).toEqual(counters.of(partition))
}

/** How many counts of slips are read at the next open. */
async function slippedCounts(): Promise<number> {
  const { rows } = await readCounts({ database, crc32 })
  return rows.reduce((sum, row) => sum + (row.kind === 'slip' ? Array.from(row.slip.changed).length : 0), 0)
}

describe('what is read of counts at the next open', () => {
  it('is as good as the same however many batches came before, and whatever these changed', async () => {
    for (const changes of [64, 3]) {
      let most = 0
      for (let round = 1; round <= SLIPS + 300; round++) {
        await write(puts(changes))
        if (round % 61 !== 0) continue
        const { rows } = await readCounts({ database, crc32 })
        most = Math.max(most, rows.length)
        expect(await slippedCounts()).toBeLessThanOrEqual(2048)
      }
      expect(most).toBeLessThan(PARTITIONS + 1 + SLIPS / 2)
      await expectSame(`${changes} changes`)
    }
    expect(counters.sum().records).toBe((SLIPS + 300) * 67)
  })

  it('is right at each batch of all kinds', async () => {
    const steps: readonly ((round: number) => readonly CountStep[])[] = [
      (round) => puts(round % PARTITIONS),
      (round) => [put(round % 8), put(round % 8, 'blocks')],
      (round) => [{ kind: 'forget', partition: round % 5 }],
      (round) => [put(round % 5)],
      (round) => [{ kind: 'set', partition: round % 5, counts: new Map([['default', RECORD]]) }, put(9)],
      () => [],
      () => [{ ...put(63), records: -1, bytes: -10 } as CountStep],
    ]
    for (let round = 0; round < 1200; round++) {
      await write(steps[(round * 31 + (round >> 5)) % steps.length]?.(round) ?? [])
      if (round % 11 === 0) await expectSame(`round ${round}`)
      // As after a failed batch, or a power cut.
      if (round % 101 === 0) counters = await loaded()
    }
  })
})

describe('counts of a build that sets no mark', () => {
  const kept = (): Operation => ({
    type: 'put',
    key: KEPT_KEY,
    value: seal(KEPT_KEY, Uint8Array.of(1), crc32),
  })
  const counts = (records: number): ReadonlyMap<string, Counts> =>
    new Map([['default', { records, bytes: 1, tombstones: 0 }]])
  const slip = (sequence: number, records: number) =>
    slipRow({ sequence, changed: [{ partition: 2, type: 'default', ...RECORD, records }] }, crc32)

  it('are read, wherever the last slip is, and marked by the next batch', async () => {
    await batch([kept(), pageRow({ partition: 2, sequence: 700, counts: counts(5) }, crc32)])
    for (let sequence = 690; sequence < 690 + SLIPS; sequence++) await batch([slip(sequence, sequence)])
    counters = await loaded()
    expect(counters.of(2)?.get('default')?.records).toBe(690 + SLIPS - 1)
    await write([put(3)])
    const { mark, rows } = await readCounts({ database, crc32 })
    expect(mark?.pagedAt).toBe(690 + SLIPS)
    expect(rows.map(({ kind }) => kind)).toEqual(['kept', 'page', 'page'])
    await expectSame('marked')
  })

  it('are read where it has gone on behind a mark', async () => {
    for (let round = 0; round < 600; round++) await write([put(2), put(3)])
    const { mark } = await readCounts({ database, crc32 })
    const last = 600
    expect(mark?.pagedAt).toBeLessThan(last)
    // Its first batch writes pages of what it has found in slips.
    const page = pageRow({ partition: 2, sequence: last + 1, counts: counts(601) }, crc32)
    await batch([page, slip(last + 1, 601)])
    for (let sequence = last + 2; sequence < last + SLIPS; sequence++) await batch([slip(sequence, sequence)])
    counters = await loaded()
    expect(counters.of(2)?.get('default')?.records).toBe(last + SLIPS - 1)
    expect(counters.of(3)?.get('default')?.records).toBe(600)
    await write([put(5)])
    await expectSame('marked again')
  })

  it('are read where it has gone on behind a mark while a vnode was being counted', async () => {
    // So many that each place of the ring has a slip, and no page is younger than the mark.
    for (let round = 0; round < SLIPS + 10; round++) await write([put(2)])
    await write([{ kind: 'forget', partition: 5 }])
    const marked = SLIPS + 11
    // A batch that changes nothing but the vnode that is being counted has a number there, and no row.
    await batch([slip(marked + 2, 7777)])
    counters = await loaded()
    expect(counters.of(2)?.get('default')?.records).toBe(7777)
    expect(counters.of(5)).toBeUndefined()
    await write([put(3)])
    await expectSame('before the vnode is counted')
    await write([{ kind: 'set', partition: 5, counts: new Map([['default', RECORD]]) }, put(2)])
    await expectSame('counted')
    expect((await readCounts({ database, crc32 })).mark).toBeDefined()
  })

  it('are read where it has counted a vnode behind a mark', async () => {
    for (let round = 0; round < SLIPS + 10; round++) await write([put(2)])
    await write([{ kind: 'forget', partition: 5 }])
    const marked = SLIPS + 11
    await batch([pageRow({ partition: 5, sequence: marked + 40, counts: counts(12) }, crc32)])
    await batch([slip(marked + 50, 8888)])
    counters = await loaded()
    expect(counters.of(2)?.get('default')?.records).toBe(8888)
    expect(counters.of(5)?.get('default')?.records).toBe(12)
  })

  it('are read in full where slips behind the mark do not follow each other', async () => {
    await write([put(2)])
    const { mark } = await readCounts({ database, crc32 })
    const at = (mark?.pagedAt ?? 0) + 3
    await batch([slip(at, 77)])
    counters = await loaded()
    expect(counters.of(2)?.get('default')?.records).toBe(77)
  })
})
