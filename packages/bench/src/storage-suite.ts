import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MiB, utf8 } from '@atoll/core'
import { bodies } from './bodies.ts'
import { readFloor, writeFloor } from './floor.ts'
import { compare, type Load, type Subject } from './measure.ts'
import { type Row, rowOf } from './report.ts'
import { CLASSIC_LEVEL, STORES, type Store, type StoreKind, VALUE_LOG } from './stores.ts'

interface Case {
  readonly label: string
  readonly sizeBytes: number
  readonly load: Load & { readonly rounds: number }
  /** Rounds of the stores that are there for reference. */
  readonly referenceRounds: number
  /** How much space the value log touches beforehand: all that it is going to write. */
  readonly touchedBytes: number
  /** How much the floor touches, which it then writes round and round. */
  readonly floorBytes: number
  /** Keys that the writes go round on; undefined for a new key each. */
  readonly keys?: number
}

/**
 * A round takes about a tenth of a second, as one of the floor does. Code is new in each process: a whole round warms
 * up.
 */
const LARGE: Case = {
  label: '1 MiB',
  sizeBytes: MiB,
  load: { operations: 80, warmUp: 80, concurrency: 8, rounds: 21 },
  referenceRounds: 5,
  touchedBytes: 1792 * MiB,
  floorBytes: 512 * MiB,
}
const SMALL: Case = {
  label: '200 B',
  sizeBytes: 200,
  load: { operations: 10_000, warmUp: 10_000, concurrency: 512, rounds: 11 },
  referenceRounds: 5,
  touchedBytes: 128 * MiB,
  floorBytes: 64 * MiB,
}
/**
 * Half of what the log holds is out of date at any time, so that compaction has to keep up. These rounds are long: in
 * short ones it could catch up while the floor has its turn.
 */
const OVERWRITES: Case = {
  label: '1 MiB over and over',
  sizeBytes: MiB,
  load: { operations: 600, concurrency: 8, rounds: 5 },
  referenceRounds: 0,
  touchedBytes: 1024 * MiB,
  floorBytes: 512 * MiB,
  keys: 300,
}
/** How many values are read. */
const READ_VALUES = 150

type OnRow = (row: Row) => void

/**
 * Single stores under durable writes and reads: the value log, and for reference classic-level, memory-level and lmdb.
 * Small durable writes are also compared with those of classic-level itself, which takes the place of the floor.
 */
const PARTS: readonly { readonly kind: StoreKind; readonly run: (onRow: OnRow) => Promise<void> }[] = [
  ...STORES.map((kind) => ({ kind, run: (onRow: OnRow) => putsBesideFloor(kind, LARGE, onRow) })),
  ...STORES.map((kind) => ({ kind, run: (onRow: OnRow) => putsBesideFloor(kind, SMALL, onRow) })),
  { kind: VALUE_LOG, run: (onRow) => putsBesideReference(SMALL, onRow) },
  ...STORES.map((kind) => ({ kind, run: (onRow: OnRow) => gets(kind, onRow) })),
  { kind: VALUE_LOG, run: (onRow) => putsBesideFloor(VALUE_LOG, OVERWRITES, onRow) },
]

export const storageParts = PARTS.map(({ run }) => run)

/** Numbers, from 1, of the parts that measure Atoll's own store, and not others for reference. */
export const OWN_STORAGE_PARTS = PARTS.flatMap(({ kind }, at) => (kind === VALUE_LOG ? [at + 1] : []))

async function putsBesideFloor(kind: StoreKind, each: Case, onRow: OnRow): Promise<void> {
  await inDirectory(async (directory) => {
    const store = await kind.open(join(directory, 'store'), each.touchedBytes)
    const { sizeBytes, floorBytes, load } = each
    const bodyOf = bodies(sizeBytes)
    const floor = await writeFloor({ directory, copies: 1, bodyOf, recycledBytes: floorBytes, md5: false })
    const rounds = kind === VALUE_LOG ? load.rounds : each.referenceRounds
    const comparison = await compare(putting(store, each), floor, { ...load, rounds })
    onRow(rowOf(`${kind.name}: durable put ${each.label}`, load.concurrency, comparison))
    await floor.close()
    await store.close()
  })
}

/** The value log and classic-level in turn, in the same run: how many times as fast is it? */
async function putsBesideReference(each: Case, onRow: OnRow): Promise<void> {
  await inDirectory(async (directory) => {
    const store = await VALUE_LOG.open(join(directory, 'store'), each.touchedBytes)
    const reference = await CLASSIC_LEVEL.open(join(directory, 'reference'), 0)
    const comparison = await compare(putting(store, each), putting(reference, each), each.load)
    const name = `${VALUE_LOG.name} / ${CLASSIC_LEVEL.name}: put ${each.label}`
    onRow(rowOf(name, each.load.concurrency, comparison))
    await reference.close()
    await store.close()
  })
}

function putting(store: Store, { sizeBytes, keys }: Case): Subject {
  const bodyOf = bodies(sizeBytes)
  const moved = () => sizeBytes
  return {
    operation: (n) => store.put(keyOf(keys === undefined ? n : n % keys), bodyOf(n)).then(moved),
    close: () => Promise.resolve(),
  }
}

async function gets(kind: StoreKind, onRow: OnRow): Promise<void> {
  await inDirectory(async (directory) => {
    const store = await kind.open(join(directory, 'store'), 2 * READ_VALUES * MiB)
    const { sizeBytes, load } = LARGE
    const bodyOf = bodies(sizeBytes)
    for (let n = 0; n < READ_VALUES; n++) await store.put(keyOf(n), bodyOf(n))
    const getting: Subject = {
      operation: async (n) => {
        const value = await store.get(keyOf(n % READ_VALUES))
        if (value?.length !== sizeBytes) throw new Error(`value ${n} came back with ${value?.length} bytes`)
        return sizeBytes
      },
      close: () => Promise.resolve(),
    }
    const floor = await readFloor({ directory, sizeBytes, objects: READ_VALUES, bodyOf })
    onRow(rowOf(`${kind.name}: get 1 MiB`, load.concurrency, await compare(getting, floor, load)))
    await floor.close()
    await store.close()
  })
}

async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'atoll-bench-'))
  try {
    await run(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Keys in an order that is not that of writing, as hashed ones are. */
function keyOf(n: number): Uint8Array {
  const mixed = Math.imul(n + 1, 0x9e3779b1) >>> 0
  return utf8(`${mixed.toString(16).padStart(8, '0')}-${n}`)
}
