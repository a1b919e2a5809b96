import { createMetrics } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import { nodeRuntime } from '../src/index.ts'
import { handWound } from './hand-wound.ts'
import {
  crashImage,
  type DiskOp,
  type Draw,
  drawFrom,
  emptyImage,
  type Fate,
  type Image,
  SimDisk,
} from './sim-disk.ts'
import {
  contents,
  countOf,
  type Db,
  drawWrite,
  modelAfter,
  openOn,
  operationsOf,
  RESTLESS,
  type Write,
} from './workload.ts'

const WRITES = 220
const LOOK_EVERY = 6

interface Recorded {
  readonly writes: readonly Write[]
  readonly trace: readonly DiskOp[]
}

interface RecordOptions {
  /** Whether the disk takes a write and its sync in one call. */
  readonly writesDurably: boolean
  readonly isRestless?: boolean
}

/** Runs a workload, some batches at a time, and notes in the trace when a synced one was acknowledged. */
async function record(seed: number, { writesDurably, isRestless = false }: RecordOptions): Promise<Recorded> {
  const draw = drawFrom(seed)
  const disk = new SimDisk(emptyImage(), { writesDurably })
  disk.delay = () => (draw(4) === 0 ? new Promise(setImmediate) : Promise.resolve())
  const { runtime, look } = isRestless ? handWound() : { runtime: ticking(), look: async () => {} }
  const db = openOn(disk, isRestless ? RESTLESS : {}, runtime)
  await db.open()
  const writes = Array.from({ length: WRITES }, (_, index) => drawWrite(index, draw))
  const inFlight = new Set<Promise<void>>()
  for (const [index, write] of writes.entries()) {
    const done = db.batch(operationsOf(write), { sync: write.sync }).then(() => {
      if (write.sync) disk.note(index)
      inFlight.delete(done)
    })
    inFlight.add(done)
    if (inFlight.size > draw(6)) await Promise.race(inFlight)
    // Only what nothing goes before is written and synced in one call.
    if (writesDurably && draw(3) === 0) await Promise.all(inFlight)
    if (isRestless && index % LOOK_EVERY === 0) await Promise.all([look(), ...inFlight]).then(look)
  }
  await Promise.all(inFlight)
  await db.close()
  // Some segments were emptied and written again on the way.
  expect(runtime.metrics.value('atoll_value_log_compacted_segments_total')).toBeGreaterThan(3)
  const syncs = disk.trace.filter(({ op }) => op === 'sync')
  const inOneCall = syncs.filter((op) => op.op === 'sync' && op.only !== undefined)
  expect(inOneCall.length > 10, `${inOneCall.length} of ${syncs.length}`).toBe(writesDurably)
  expect(syncs.length - inOneCall.length, 'the other way is gone as well').toBeGreaterThan(10)
  return { writes, trace: disk.trace }
}

const ticking = () => ({ ...nodeRuntime(), metrics: createMetrics() })

/** Opens what a crash has left, and compares it with the writes that must and may be there. */
async function check(image: Image, { writes }: Recorded, acknowledged: number): Promise<SimDisk> {
  const disk = new SimDisk(image)
  const db = openOn(disk)
  await db.open()
  const held = await contents(db)
  const count = countOf(held)
  expect(count).toBeGreaterThan(acknowledged)
  expect(held).toEqual(modelAfter(writes, count))
  await stillTakesWrites(db)
  await db.close()
  return disk
}

async function stillTakesWrites(db: Db): Promise<void> {
  const value = Buffer.alloc(700, 'after')
  await db.put('after the crash', value, { sync: true })
  expect(await db.get('after the crash')).toEqual(value)
  await db.del('after the crash', { sync: true })
}

function acknowledgedIn(trace: readonly DiskOp[]): number {
  let last = -1
  for (const op of trace) if (op.op === 'note') last = Math.max(last, op.note)
  return last
}

const anyFate = (draw: Draw) => (): Fate => (['kept', 'lost', 'torn'] as const)[draw(3)] ?? 'kept'

const extremes: readonly ((op: DiskOp) => Fate)[] = [
  () => 'kept',
  () => 'lost',
  () => 'torn',
  // Files are gone at once, and what was written instead of them is not there yet.
  ({ op }) => (op === 'remove' ? 'kept' : 'lost'),
]

/** Checks what a crash would leave after every `step`th operation. */
async function checkImages(recorded: Recorded, draw: Draw, step: number): Promise<void> {
  for (let length = 0; length <= recorded.trace.length; length += step) {
    const trace = recorded.trace.slice(0, length)
    // Every other image is one at random; between them the extremes take turns.
    const fate = length % 2 === 0 ? anyFate(draw) : extremes[(length >> 1) % extremes.length]
    const image = crashImage(emptyImage(), trace, fate ?? anyFate(draw), draw)
    await check(image, recorded, acknowledgedIn(trace))
  }
}

describe.each([
  ['where a sync follows each write', false],
  ['where a write may be durable by itself', true],
])('a crash at every operation, %s', (_, writesDurably) => {
  test('with what was not synced kept, lost and torn', async () => {
    const recorded = await record(20261121, { writesDurably })
    const draw = drawFrom(7)
    expect(recorded.trace.length).toBeGreaterThan(2 * WRITES)
    await checkImages(recorded, draw, 1)
  })

  test('while space is given back between all that is written', async () => {
    const recorded = await record(20261128, { writesDurably, isRestless: true })
    const left = recorded.trace.filter((op) => op.op === 'truncate' && op.size < (RESTLESS.segmentBytes ?? 0))
    expect(left.length, 'segments were left for smaller ones').toBeGreaterThan(3)
    expect(recorded.trace.filter(({ op }) => op === 'remove').length).toBeGreaterThan(3)
    await checkImages(recorded, drawFrom(9), 3)
  })

  test('and again while it recovers', async () => {
    const recorded = await record(4, { writesDurably })
    const draw = drawFrom(8)
    const fate = anyFate(draw)
    for (let length = 0; length <= recorded.trace.length; length += 7) {
      const trace = recorded.trace.slice(0, length)
      const image = crashImage(emptyImage(), trace, fate, draw)
      const start = crashImage(image, [], fate, draw)
      const second = await check(image, recorded, acknowledgedIn(trace))
      const part = second.trace.slice(0, draw(second.trace.length + 1))
      await checkAfterTwo(crashImage(start, part, fate, draw), recorded, acknowledgedIn(trace))
    }
  })
})

/** The write that followed the first crash may be there or not. */
async function checkAfterTwo(image: Image, { writes }: Recorded, acknowledged: number): Promise<void> {
  const db = openOn(new SimDisk(image))
  await db.open()
  const held = await contents(db)
  held.delete('after the crash')
  const count = countOf(held)
  expect(count).toBeGreaterThan(acknowledged)
  expect(held).toEqual(modelAfter(writes, count))
  await db.close()
}

test('what was behind a cut never comes back, even where it would fit again', async () => {
  const disk = new SimDisk()
  const db = openOn(disk, { flushDelayMs: 60_000 })
  await db.put('a', Buffer.alloc(50, 1), { sync: true })
  const before = disk.trace.length
  await db.put('b', Buffer.alloc(50, 2))
  await db.put('c', Buffer.alloc(50, 3))
  const trace = disk.trace.slice()
  await db.close()
  const lost = trace.findIndex(({ op }, index) => index >= before && op === 'write')
  const fate = (op: DiskOp): Fate => (op === trace[lost] ? 'lost' : 'kept')
  const cut = new SimDisk(crashImage(emptyImage(), trace, fate, drawFrom(1)))
  const first = openOn(cut)
  expect([...(await contents(first)).keys()]).toEqual(['a'])
  await first.put('B', Buffer.alloc(50, 4), { sync: true })
  const killed = new SimDisk(crashImage(cut.image, [], () => 'kept', drawFrom(1)))
  const second = openOn(killed)
  expect([...(await contents(second)).keys()]).toEqual(['B', 'a'])
  await first.close()
  await second.close()
})
