import { MemoryLevel } from 'memory-level'
import { beforeEach, expect, test } from 'vitest'
import { InnerReads } from '../src/inner-reads.ts'

const KEY = Buffer.from('key')
const VALUE = Buffer.from('value')

/** Counts how it is read; a read that is not in place takes a turn of the event loop. */
class CountingLevel extends MemoryLevel<Uint8Array, Uint8Array> {
  inPlace = 0
  elsewhere = 0
  /** What a read in place takes. */
  slowMs = 0
  nowMs = 0

  async _get(...read: unknown[]): Promise<unknown> {
    this.elsewhere += 1
    await new Promise(setImmediate)
    return Reflect.apply(Reflect.get(MemoryLevel.prototype, '_get'), this, read)
  }

  _getSync(...read: unknown[]): unknown {
    this.inPlace += 1
    this.nowMs += this.slowMs
    return Reflect.apply(Reflect.get(MemoryLevel.prototype, '_getSync'), this, read)
  }
}

let inner: CountingLevel
let reads: InnerReads

beforeEach(async () => {
  inner = new CountingLevel({ keyEncoding: 'view', valueEncoding: 'view' })
  await inner.put(KEY, VALUE)
  reads = new InnerReads(inner, { monotonicMs: () => inner.nowMs })
})

async function read(times: number): Promise<void> {
  for (let n = 0; n < times; n++) expect(await reads.get(KEY)).toEqual(VALUE)
}

test('reads are made in place, and now and then one is not, so that others have a turn', async () => {
  let turns = 0
  const count = () => {
    turns += 1
    timer = setImmediate(count)
  }
  let timer = setImmediate(count)
  await read(1000)
  clearImmediate(timer)
  expect(inner.inPlace + inner.elsewhere).toBe(1000)
  expect(inner.elsewhere).toBe(15)
  expect(turns).toBeGreaterThanOrEqual(15)
})

test('a turn is over after a millisecond, whatever is done between the reads', async () => {
  for (let n = 0; n < 100; n++) {
    await read(1)
    inner.nowMs += 0.3
  }
  expect(inner.inPlace + inner.elsewhere).toBe(100)
  expect(inner.elsewhere).toBe(20)
})

test('however many read at a time, all let others have a turn', async () => {
  let turned = false
  setImmediate(() => {
    turned = true
  })
  const reader = async () => {
    for (let n = 0; n < 100 && !turned; n++) await read(1)
  }
  await Promise.all(Array.from({ length: 500 }, reader))
  expect(inner.inPlace).toBeLessThanOrEqual(2 * 64)
})

test('after one that had to wait for the disk they are made elsewhere, for longer each time', async () => {
  inner.slowMs = 5
  await read(64)
  expect(inner.inPlace).toBe(1)
  await read(1)
  expect(inner.inPlace).toBe(2)
  await read(127)
  expect(inner.inPlace).toBe(2)
  await read(1)
  expect(inner.inPlace).toBe(3)
  await read(4000)
  expect(inner.inPlace).toBe(7)
  inner.slowMs = 0
  await read(6000)
  expect(inner.inPlace).toBeGreaterThan(1000)
})

test('many keys are read in place only if they are few', async () => {
  expect(await reads.getMany([KEY, Buffer.from('none'), KEY])).toEqual([VALUE, undefined, VALUE])
  expect(inner.inPlace).toBe(3)
  const many = Array.from({ length: 100 }, () => KEY)
  expect(await reads.getMany(many)).toEqual(many.map(() => VALUE))
  expect(inner.inPlace).toBe(3)
})

test('a database that cannot is not asked to', async () => {
  const plain = new CountingLevel({ keyEncoding: 'view', valueEncoding: 'view' })
  await plain.put(KEY, VALUE)
  const unable = { ...plain.supports, getSync: false }
  Object.defineProperty(plain, 'supports', { value: unable })
  reads = new InnerReads(plain, { monotonicMs: () => 0 })
  await read(3)
  expect([plain.inPlace, plain.elsewhere]).toEqual([0, 3])
})
