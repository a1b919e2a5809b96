import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MiB, utf8 } from '@atoll/core'
import { bodies } from './bodies.ts'
import { readFloor, writeFloor } from './floor.ts'
import { compare, type Load, type Subject } from './measure.ts'
import { type Row, rowOf } from './report.ts'
import { STORES, type Store } from './stores.ts'

interface Case {
  readonly label: string
  readonly sizeBytes: number
  readonly load: Load & { readonly rounds: number }
  /** Keys that the writes go round on; undefined for a new key each. */
  readonly keys?: number
}

const LARGE: Case = {
  label: '1 MiB',
  sizeBytes: MiB,
  load: { operations: 150, concurrency: 8, rounds: 4 },
}
const SMALL: Case = {
  label: '200 B',
  sizeBytes: 200,
  load: { operations: 20_000, concurrency: 512, rounds: 4 },
}
/** Half of what the log holds is out of date at any time, so that compaction has to keep up. */
const OVERWRITES: Case = {
  label: '1 MiB over and over',
  sizeBytes: MiB,
  load: { operations: 600, concurrency: 8, rounds: 4 },
  keys: 300,
}

/** How much space is touched beforehand, by the floor and by the value log: enough that both only rewrite. */
const TOUCHED_BYTES = 1024 * MiB

/** Single stores under durable writes and reads: the value log, and for reference classic-level, memory-level and lmdb. */
export async function storageSuite(onRow: (row: Row) => void): Promise<void> {
  for (const each of [LARGE, SMALL]) {
    for (const store of STORES) await onStore(store, (opened) => puts(opened, store.name, { each, onRow }))
  }
  for (const store of STORES) await onStore(store, (opened) => gets(opened, store.name, onRow))
  const [valueLog] = STORES
  if (valueLog !== undefined) {
    await onStore(valueLog, (opened) => puts(opened, valueLog.name, { each: OVERWRITES, onRow }))
  }
}

interface Opened {
  readonly store: Store
  readonly directory: string
}

async function onStore(kind: (typeof STORES)[number], run: (opened: Opened) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'atoll-bench-'))
  try {
    const store = await kind.open(join(directory, 'store'), TOUCHED_BYTES)
    await run({ store, directory })
    await store.close()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function puts(
  { store, directory }: Opened,
  name: string,
  { each, onRow }: { readonly each: Case; readonly onRow: (row: Row) => void },
): Promise<void> {
  const bodyOf = bodies(each.sizeBytes)
  const putting: Subject = {
    operation: async (n) => {
      await store.put(keyOf(each.keys === undefined ? n : n % each.keys), bodyOf(n))
      return each.sizeBytes
    },
    close: () => Promise.resolve(),
  }
  const floor = await writeFloor({
    directory,
    copies: 1,
    bodyOf,
    recycledBytes: TOUCHED_BYTES / 2,
    md5: false,
  })
  const label = `${name}: durable put ${each.label}`
  onRow(rowOf(label, each.load.concurrency, await compare(putting, floor, each.load)))
  await floor.close()
}

async function gets({ store, directory }: Opened, name: string, onRow: (row: Row) => void): Promise<void> {
  const { sizeBytes, load } = LARGE
  const bodyOf = bodies(sizeBytes)
  for (let n = 0; n < load.operations; n++) await store.put(keyOf(n), bodyOf(n))
  const getting: Subject = {
    operation: async (n) => {
      const value = await store.get(keyOf(n % load.operations))
      if (value?.length !== sizeBytes) throw new Error(`value ${n} came back with ${value?.length} bytes`)
      return sizeBytes
    },
    close: () => Promise.resolve(),
  }
  const floor = await readFloor({ directory, sizeBytes, objects: load.operations, bodyOf })
  onRow(rowOf(`${name}: get 1 MiB`, load.concurrency, await compare(getting, floor, load)))
  await floor.close()
}

/** Keys in an order that is not that of writing, as hashed ones are. */
function keyOf(n: number): Uint8Array {
  const mixed = Math.imul(n + 1, 0x9e3779b1) >>> 0
  return utf8(`${mixed.toString(16).padStart(8, '0')}-${n}`)
}
