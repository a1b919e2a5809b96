import { describe, expect, test } from 'vitest'
import { held } from './held.ts'
import { SimDisk } from './sim-disk.ts'
import { contents, openOn, SMALL_LOG } from './workload.ts'

/** Small writes that wait one behind the other are joined. Nobody may notice, but for the speed. */
describe('small writes that wait together', () => {
  test('keep their order, whatever each of them waits for', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    await db.open()
    const acknowledged: number[] = []
    const writes = Array.from({ length: 300 }, async (_, n) => {
      const sync = Math.floor(n / 7) % 2 === 0
      if (n % 10 === 9) await db.del(`k${n % 3}`, { sync })
      else await db.put(`k${n % 3}`, Buffer.from(`${n}`.padEnd(n % 50 === 0 ? 400 : 20)), { sync })
      if (sync) acknowledged.push(n)
    })
    await Promise.all(writes)
    expect(acknowledged).toEqual([...acknowledged].sort((a, b) => a - b))
    const expected = new Map([297, 298].map((n) => [`k${n % 3}`, `${n}`.padEnd(20)]))
    expect(await contents(db)).toEqual(expected)
    await db.close()
    const reopened = openOn(new SimDisk(disk.image))
    expect(await contents(reopened)).toEqual(expected)
    await reopened.close()
  })

  test('are refused together if their record cannot be written, and those that come later are not', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    await db.open()
    let failures = 1
    disk.fault = (_, op) =>
      op === 'write' && failures-- > 0 ? Object.assign(new Error('full'), { code: 'ENOSPC' }) : undefined
    const put = (n: number) => db.put(`k${n}`, Buffer.of(n), { sync: true })
    const outcomes = await Promise.allSettled([0, 1, 2, 3, 4].map(put))
    expect(outcomes.map(({ status }) => status)).toEqual(Array(5).fill('rejected'))
    await Promise.all([5, 6].map(put))
    expect([...(await contents(db)).keys()]).toEqual(['k5', 'k6'])
    await db.close()
  })

  test('do not reach a sync that began before them', async () => {
    const disk = new SimDisk()
    const db = openOn(disk)
    await db.open()
    const syncing = held()
    disk.delay = (op) => (op === 'sync' ? syncing.hold() : Promise.resolve())
    const first = db.put('first', Buffer.of(1), { sync: true })
    await syncing.reached
    let done = 0
    const later = [2, 3, 4].map(async (n) => {
      await db.put(`k${n}`, Buffer.of(n), { sync: true })
      done += 1
    })
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    expect(done).toBe(0)
    syncing.letGo()
    await Promise.all([first, ...later])
    expect(done).toBe(3)
    await db.close()
  })

  test('need no segment that is larger than the others', async () => {
    const disk = new SimDisk()
    const db = openOn(disk, { groupBytes: 1024 * 1024 })
    await db.open()
    await Promise.all(
      Array.from({ length: 5000 }, (_, n) => db.put(`k${n}`, Buffer.alloc(100), { sync: true })),
    )
    const sizes = [...disk.image.files].filter(([name]) => name.endsWith('.segment'))
    expect(sizes.length).toBeGreaterThan(2)
    expect(new Set(sizes.map(([, bytes]) => bytes.length))).toEqual(new Set([SMALL_LOG.segmentBytes]))
    await db.close()
  })
})
