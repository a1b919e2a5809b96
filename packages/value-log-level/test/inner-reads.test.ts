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
  reads = new InnerReads(
    inner,
    clockOf(() => inner.nowMs),
  )
})

/** A turn of the event loop is a turn for everyone else. */
function clockOf(monotonicMs: () => number): ConstructorParameters<typeof InnerReads>[1] {
  const timer = (delayMs: number, fire: () => void) => {
    expect(delayMs).toBe(0)
    const turn = setImmediate(fire)
    return { cancel: () => clearImmediate(turn) }
  }
  return { monotonicMs, timer }
}

async function read(times: number): Promise<void> {
  for (let n = 0; n < times; n++) expect(await reads.get(KEY)).toEqual(VALUE)
}

/** How often the event loop goes round while `task` is under way. */
async function turnsDuring(task: () => Promise<void>): Promise<number> {
  let turns = 0
  const count = () => {
    turns += 1
    timer = setImmediate(count)
  }
  let timer = setImmediate(count)
  await task()
  clearImmediate(timer)
  return turns
}

test('reads are made in place, and now and then one waits, so that others have a turn', async () => {
  const turns = await turnsDuring(() => read(1000))
  expect([inner.inPlace, inner.elsewhere]).toEqual([1000, 0])
  expect(turns).toBeGreaterThanOrEqual(15)
  expect(turns).toBeLessThanOrEqual(16)
})

test('a turn is over after four milliseconds, whatever is done between the reads', async () => {
  const turns = await turnsDuring(async () => {
    for (let n = 0; n < 100; n++) {
      await read(1)
      inner.nowMs += 1.2
    }
  })
  expect([inner.inPlace, inner.elsewhere]).toEqual([100, 0])
  expect(turns).toBeGreaterThanOrEqual(24)
  expect(turns).toBeLessThanOrEqual(25)
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
  // Those that wait by then are read all the same, 64 in a turn.
  expect(inner.inPlace).toBeLessThanOrEqual(64 + 500)
  expect(inner.elsewhere).toBe(0)
})

test('who waits for a turn goes before those who come in it', async () => {
  const order: number[] = []
  const waiting = Array.from({ length: 200 }, async (_, n) => {
    await read(1)
    order.push(n)
    await read(1)
  })
  await Promise.all(waiting)
  expect(order).toEqual([...order].sort((a, b) => a - b))
})

test('what a read in place throws is thrown to who waited for it', async () => {
  await read(64)
  inner._getSync = () => {
    throw new Error('broken')
  }
  await expect(read(1)).rejects.toThrow('broken')
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
  reads = new InnerReads(
    plain,
    clockOf(() => 0),
  )
  await read(3)
  expect([plain.inPlace, plain.elsewhere]).toEqual([0, 3])
})
