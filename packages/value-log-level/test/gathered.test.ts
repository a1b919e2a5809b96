import { MiB } from '@atoll/core'
import { MemoryLevel } from 'memory-level'
import { expect, test } from 'vitest'
import { nodeRuntime, ValueLogLevel, type ValueLogRuntime } from '../src/index.ts'
import { SimDisk } from './sim-disk.ts'
import { contents, openOn, SMALL_LOG } from './workload.ts'

const ROOMY = { segmentBytes: 4 * MiB, checkpointBytes: 64 * MiB }
const GATHERING_MS = 100

/** A runtime of which the time for gathering is over when the test says so. */
function patient() {
  const real = nodeRuntime()
  let due: (() => void)[] = []
  const clock: ValueLogRuntime['clock'] = {
    ...real.clock,
    timer: (delayMs, fire, options) => {
      if (delayMs !== GATHERING_MS) return real.clock.timer(delayMs, fire, options)
      due.push(fire)
      const cancel = () => {
        due = due.filter((other) => other !== fire)
      }
      return { cancel }
    },
  }
  const over = async () => {
    for (const fire of due.splice(0)) fire()
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  }
  return { runtime: { ...real, clock }, over, waiting: () => due.length }
}

const applied = (disk: SimDisk) => disk.trace.filter(({ op }) => op === 'inner').length
const putAll = async (db: ReturnType<typeof openOn>, count: number, from = 0) => {
  for (let n = from; n < from + count; n++) await db.put(`k${n}`, Buffer.of(n), { sync: true })
}

test('what nobody waits for is applied together, and read before that', async () => {
  const disk = new SimDisk()
  const { runtime, over, waiting } = patient()
  const db = openOn(disk, ROOMY, runtime)
  await db.open()
  const before = applied(disk)
  await putAll(db, 40)
  expect(applied(disk)).toBe(before)
  for (let n = 0; n < 40; n++) expect(await db.get(`k${n}`)).toEqual(Buffer.of(n))
  await over()
  expect(applied(disk)).toBe(before + 1)
  expect(waiting()).toBe(0)
  await db.close()
})

test('many of them are not waited for, and neither is an iterator or a close', async () => {
  const disk = new SimDisk()
  const { runtime, waiting } = patient()
  const db = openOn(disk, ROOMY, runtime)
  await db.open()
  const before = applied(disk)
  await putAll(db, 256)
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  expect(applied(disk)).toBe(before + 1)
  await putAll(db, 3, 256)
  expect((await contents(db)).size).toBe(259)
  expect(applied(disk)).toBe(before + 2)
  await putAll(db, 3, 259)
  await db.close()
  expect(waiting()).toBe(0)
  const again = openOn(new SimDisk(disk.image), ROOMY)
  expect((await contents(again)).size).toBe(262)
  await again.close()
})

test('a sync that fails leaves what was durable to be applied, and what was not to be found by the next open', async () => {
  const disk = new SimDisk()
  const { runtime, over } = patient()
  const db = openOn(disk, ROOMY, runtime)
  await db.open()
  await putAll(db, 5)
  disk.fault = (_, op) => (op === 'sync' ? new Error('a sync failed') : undefined)
  await expect(db.put('lost', Buffer.of(9), { sync: true })).rejects.toThrow('a sync failed')
  disk.fault = () => undefined
  await over()
  for (let n = 0; n < 5; n++) expect(await db.get(`k${n}`)).toEqual(Buffer.of(n))
  await db.close()
  const again = openOn(new SimDisk(disk.image), ROOMY)
  for (let n = 0; n < 5; n++) expect(await again.get(`k${n}`)).toEqual(Buffer.of(n))
  await again.close()
})

/** Counts the keys that are looked up before others are put. */
class CountingLevel extends MemoryLevel<Uint8Array, Uint8Array> {
  lookups = 0

  _getMany(...request: unknown[]): unknown {
    const [keys] = request
    this.lookups += Array.isArray(keys) ? keys.length : 0
    return Reflect.apply(Reflect.get(MemoryLevel.prototype, '_getMany'), this, request)
  }

  _getSync(...request: unknown[]): unknown {
    this.lookups += 1
    return Reflect.apply(Reflect.get(MemoryLevel.prototype, '_getSync'), this, request)
  }
}

test('a large value that replaces nothing, as its writer says, is not looked for; what it hides is counted', async () => {
  const disk = new SimDisk()
  const inner = new CountingLevel({ keyEncoding: 'view', valueEncoding: 'view' })
  const db = new ValueLogLevel(
    nodeRuntime(),
    { inner, files: disk.files() },
    { valueLog: { ...SMALL_LOG, ...ROOMY } },
  )
  await db.open()
  const put = (replacesBytes?: number) => {
    const operation = {
      type: 'put',
      key: Buffer.from('k'),
      value: Buffer.alloc(20_000, 7),
      replacesBytes,
    } as const
    return db.batchBytes([operation], { sync: true })
  }
  const settled = async () => {
    await db.keys({ limit: 1 }).all()
    return [inner.lookups, db.usage().liveBytes > 30_000] as const
  }
  await put(0)
  expect(await settled()).toEqual([0, false])
  await put(20_000)
  expect(await settled()).toEqual([1, false])
  await put()
  expect(await settled()).toEqual([2, false])
  await Promise.all([put(20_000), put(20_000)])
  expect((await settled())[1]).toBe(false)
  await db.close()
})
