import { createMetrics } from '@atoll/core'
import {
  type Files,
  type InnerLevel,
  ValueLogLevel,
  type ValueLogOptions,
  type ValueLogRuntime,
} from '../src/index.ts'
import { handWound } from './hand-wound.ts'
import { crashImage, type Draw, drawFrom, emptyImage, type Fate, type Image, SimDisk } from './sim-disk.ts'
import { contents, type Db } from './workload.ts'

/** What a value log is given in a world, which a bug may stand before. */
export interface Ports {
  readonly inner: InnerLevel
  readonly files: Files
}

/** A fault of compaction, put in from outside. */
export interface Bug {
  readonly about: string
  readonly build: (ports: Ports) => Ports
}

const STEPS = 120
const KEYS = 120
/** Written by every batch: the number of the step. */
const STEP = 'step'
const KiB = 1024
const SPARE_BYTES = 512 * KiB
/** What compaction leaves free whatever happens, less what deletes may take meanwhile. */
const LEAST_FREE_BYTES = SPARE_BYTES / 4 - 16 * KiB
const ROOM_BYTES = 2 * 1024 * KiB
const OPTIONS: ValueLogOptions = {
  thresholdBytes: 300,
  segmentBytes: 256 * KiB,
  reserveBytes: 0,
  spareBytes: SPARE_BYTES,
  checkpointBytes: 512 * KiB,
  groupBytes: 64 * KiB,
  compactBytesPerSecond: 1e12,
}

interface World {
  readonly draw: Draw
  readonly disk: SimDisk
  readonly db: Db
  readonly look: () => Promise<void>
  /** What must be there. */
  readonly model: Map<string, string>
  readonly compacted: () => number
}

/**
 * A log on a small disk that is filled, thinned out and overwritten all over, looks for space to give back all the time, and
 * loses its power in between. Returns what is wrong: something that was acknowledged is missing or another, the log does not
 * open, or compaction takes the room that is kept.
 */
export async function findFault(seed: number, bug?: Bug): Promise<string | undefined> {
  const world = opened(seed, bug)
  let leastBytes = ROOM_BYTES
  const freeBytes = () => {
    const free = ROOM_BYTES - writtenOn(world.disk)
    leastBytes = Math.min(leastBytes, free)
    return free
  }
  Object.defineProperty(world.disk, 'freeBytes', { get: freeBytes })
  world.disk.delay = async (op) => void (op === 'write' && freeBytes())
  try {
    for (let step = 0; step < STEPS; step++) {
      await take(world, step, freeBytes() >= SPARE_BYTES)
      if (step % 4 === 0) await world.look()
      if (step % 20 === 19) {
        const wrong = differs(await contents(world.db), world.model) ?? (await afterPowerCut(world))
        if (wrong !== undefined) return `step ${step}: ${wrong}`
      }
      freeBytes()
      if (leastBytes < LEAST_FREE_BYTES) return `step ${step}: ${leastBytes} bytes were left free`
    }
    if (world.compacted() < 3) return 'nothing was compacted'
    return undefined
  } catch (error) {
    return `it failed: ${error instanceof Error ? error.message : error}`
  } finally {
    await ended(world)
  }
}

function opened(seed: number, bug: Bug | undefined): World {
  const draw = drawFrom(seed)
  const disk = new SimDisk(emptyImage(), { writesDurably: draw(2) === 0 })
  const { runtime, look } = handWound()
  let nowMs = 0
  // What was found of the free space counts for one step.
  const clock: ValueLogRuntime['clock'] = { ...runtime.clock, monotonicMs: () => (nowMs += 50) }
  const metrics = createMetrics()
  const db = openOver(disk, { ...runtime, clock, metrics }, bug)
  const compacted = () => metrics.value('atoll_value_log_compacted_segments_total') ?? 0
  return { draw, disk, db, look, model: new Map(), compacted }
}

function openOver(disk: SimDisk, runtime: ValueLogRuntime, bug: Bug | undefined): Db {
  const ports = { inner: disk.inner(), files: disk.files() }
  const { inner, files } = bug?.build(ports) ?? ports
  return new ValueLogLevel(runtime, { inner, files }, { valueEncoding: 'view', valueLog: OPTIONS })
}

interface Change {
  readonly key: string
  readonly value: Buffer | undefined
}

/** Some puts and deletes; where there is no room for puts, now and then, every other key goes at once. */
async function take({ draw, db, model }: World, step: number, hasRoom: boolean): Promise<void> {
  const changes = hasRoom || draw(4) > 0 ? someChanges(draw, step, hasRoom) : thinnedOut(draw)
  const all = [...changes, { key: STEP, value: Buffer.from(`${step}`) }]
  const operations = all.map(({ key, value }) =>
    value === undefined ? { type: 'del' as const, key } : { type: 'put' as const, key, value },
  )
  await db.batch(operations, { sync: true })
  for (const { key, value } of all) {
    if (value === undefined) model.delete(key)
    else model.set(key, value.toString('latin1'))
  }
}

function someChanges(draw: Draw, step: number, hasRoom: boolean): readonly Change[] {
  return Array.from({ length: 1 + draw(5) }, () => {
    const key = keyOf(draw(KEYS))
    const isPut = hasRoom && draw(6) > 0
    return { key, value: isPut ? Buffer.alloc(400 + draw(40_000), `${step} ${key};`) : undefined }
  })
}

function thinnedOut(draw: Draw): readonly Change[] {
  const keys = Array.from({ length: KEYS }, (_, n) => keyOf(n)).filter(() => draw(2) === 0)
  return keys.map((key) => ({ key, value: undefined }))
}

const keyOf = (n: number) => `key ${n}`

function differs(found: Map<string, string>, model: Map<string, string>): string | undefined {
  for (const [key, value] of model) if (found.get(key) !== value) return `${key} is not what was written last`
  for (const key of found.keys()) if (!model.has(key)) return `${key} is back`
  return undefined
}

/** What is wrong with what a power cut would leave now. */
async function afterPowerCut({ disk, draw, model }: World): Promise<string | undefined> {
  const fates: readonly Fate[] = ['kept', 'lost', 'torn']
  const image = crashImage(emptyImage(), disk.trace, () => fates[draw(3)] ?? 'kept', draw)
  const wrong = await opensTo(image, model)
  return wrong === undefined ? undefined : `after a power cut: ${wrong}`
}

async function opensTo(image: Image, model: Map<string, string>): Promise<string | undefined> {
  const { runtime } = handWound()
  const db = openOver(new SimDisk(image), runtime, undefined)
  try {
    await db.open()
    return differs(await contents(db), model)
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    return `it does not open: ${cause instanceof Error ? cause.message : cause}`
  } finally {
    await db.close().catch(() => {})
  }
}

const PAGE = Buffer.alloc(4 * KiB)

/** What the segments take of a disk that gives room by pages, as they are written. */
function writtenOn(disk: SimDisk): number {
  let sum = 0
  for (const [name, bytes] of disk.image.files) {
    if (!name.endsWith('.segment')) continue
    let end = bytes.length
    while (end > 0 && PAGE.equals(bytes.subarray(end - PAGE.length, end))) end -= PAGE.length
    sum += end
  }
  return sum
}

/** A log that gives space back needs to be looked after until it is closed. */
async function ended({ db, look }: World): Promise<void> {
  let isOver = false
  const closing = db
    .close()
    .catch(() => {})
    .finally(() => {
      isOver = true
    })
  while (!isOver) await look()
  await closing
}
