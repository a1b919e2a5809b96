import { crc32 } from 'node:zlib'
import { beforeEach, describe, expect, it } from 'vitest'
import { slipRow } from '../src/count-rows.ts'
import type { Database, VnodeHost } from '../src/index.ts'
import { readCounts } from '../src/stored-counts.ts'
import { expectCounts } from './counts.ts'
import { content, id, makeHost, memoryStore, type TestRuntime, testRuntime, write } from './world.ts'

const VIEW = { keyEncoding: 'view', valueEncoding: 'view', sync: false } as const
const CONTRADICTED = 'vnode.counts-contradicted'

/** Writes to the disk that so many records are counted in these partitions, behind all that is there. */
async function miscount(database: Database, wrong: ReadonlyMap<number, number>): Promise<void> {
  await database.open()
  const { rows, mark } = await readCounts({ database, crc32 })
  const last = rows.reduce(
    (newest, row) => (row.kind === 'slip' ? Math.max(newest, row.slip.sequence) : newest),
    mark?.pagedAt ?? 0,
  )
  const changed = Array.from(wrong, ([partition, records]) => {
    return { partition, type: 'default', records, bytes: records, tombstones: 0 }
  })
  await database.batch([slipRow({ sequence: last + 1, changed }, crc32)], VIEW)
  await database.close()
}

describe('counts that are wrong', () => {
  const store = { database: memoryStore().database }
  let runtime: TestRuntime
  let host: VnodeHost

  beforeEach(async () => {
    store.database = memoryStore().database
    runtime = testRuntime()
    const before = makeHost(store.database, runtime)
    await before.open()
    for (const partition of [1, 2, 3]) await before.coordinate(write(id('k'), content('v'), partition))
    await before.close()
  })

  async function openWith(wrong: ReadonlyMap<number, number>): Promise<void> {
    await miscount(store.database, wrong)
    host = makeHost(store.database, runtime)
    await host.open()
  }

  it('and too high are taken for what they are once the disk is asked, and counted anew', async () => {
    await openWith(
      new Map([
        [2, 7],
        [5, 3],
      ]),
    )
    expect(host.stored.records).toBe(12)
    // A count that is only too high says nothing that is wrong here.
    expect([await host.holds(2), await host.holds(5), await host.holds(6)]).toEqual([true, false, false])
    await host.counted
    expect(host.countsOf(5)?.size).toBe(0)
    expect(await host.partitions()).toEqual([1, 2, 3])
    expect(runtime.marks.get(CONTRADICTED)).toBe(1)
    await host.close()
  })

  it('and zero hide no partition, and are counted anew', async () => {
    await openWith(new Map([[2, 0]]))
    expect(host.stored.records).toBe(2)
    expect(await host.partitions()).toEqual([1, 2, 3])
    await host.counted
    expect(runtime.marks.get(CONTRADICTED)).toBe(1)
    await expectCounts(host)
    await host.close()
    const again = makeHost(store.database, runtime)
    await again.open()
    await expectCounts(again, 'opened again')
    expect(await again.partitions()).toEqual([1, 2, 3])
    expect(runtime.marks.get(CONTRADICTED)).toBe(1)
    await again.close()
  })

  it('are not suspected of what is being written and removed', async () => {
    host = makeHost(store.database, runtime)
    await host.open()
    const moving = host.handoffOf(4)
    for (let round = 0; round < 30; round++) {
      const looks: Promise<unknown>[] = []
      const look = () => looks.push(host.holds(4), host.partitions())
      look()
      const writing = host.coordinate(write(id(`k${round}`), content('v'), 4))
      look()
      await writing
      look()
      const { records } = await moving.page(undefined, { pageRecords: 10, pageBytes: 1e6 })
      const removing = records.map((record) => moving.remove(record))
      look()
      await Promise.resolve()
      look()
      await Promise.all([...removing, ...looks])
      expect(await host.holds(4)).toBe(false)
    }
    expect(runtime.marks.get(CONTRADICTED)).toBeUndefined()
    await expectCounts(host)
    await host.close()
  })
})
