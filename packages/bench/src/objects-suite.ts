import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KiB, MiB } from '@atoll/core'
import type { GetOptions, ObjectStore } from '@atoll/objects'
import { bodies } from './bodies.ts'
import { readFloor, writeFloor } from './floor.ts'
import { compare, type Subject } from './measure.ts'
import type { PartOptions } from './parts.ts'
import { type Row, rowOf } from './report.ts'
import { storeOf } from './store-of.ts'

interface Shape {
  readonly sizeBytes: number
  readonly label: string
  readonly concurrency: number
  readonly operations: number
  /** Operations before the first round: code is new in each process. */
  readonly warmUp: { readonly puts: number; readonly gets: number }
  /** On disk. In memory, where nothing that was put is ever given back, `ROUNDS_IN_MEMORY`. */
  readonly rounds: number
}

/**
 * What it takes until V8 has compiled the way of a GET: of 1 MiB the first 500 cost three times as much of the main
 * thread as those from 1500 on. A PUT waits for the disk, and takes room on it, so that it has fewer.
 */
const SHAPES: readonly Shape[] = [
  {
    label: '4 KiB',
    sizeBytes: 4 * KiB,
    concurrency: 32,
    operations: 2000,
    warmUp: { puts: 4000, gets: 4000 },
    rounds: 5,
  },
  {
    label: '1 MiB',
    sizeBytes: MiB,
    concurrency: 8,
    operations: 80,
    warmUp: { puts: 240, gets: 2000 },
    rounds: 11,
  },
  {
    label: '64 MiB',
    sizeBytes: 64 * MiB,
    concurrency: 2,
    operations: 4,
    warmUp: { puts: 8, gets: 32 },
    rounds: 7,
  },
]

interface Setting {
  readonly nodes: number
  readonly onDisk: boolean
}

const SETTINGS: readonly Setting[] = [
  { nodes: 1, onDisk: false },
  { nodes: 5, onDisk: false },
  { nodes: 1, onDisk: true },
  { nodes: 5, onDisk: true },
]

const ROUNDS_IN_MEMORY = 3
const BUCKET = 'bench'

/** PUT and GET of small, middling and large objects through the whole house. */
export const objectsParts: readonly Part[] = SETTINGS.flatMap((setting) =>
  SHAPES.map(
    (shape): Part =>
      (onRow, { packages }) =>
        measureShape({ ...setting, ...shape, packages }, onRow),
  ),
)

type Part = (onRow: (row: Row) => void, options: PartOptions) => Promise<void>
type Measured = Setting & Shape & Pick<PartOptions, 'packages'>

async function measureShape(shape: Measured, onRow: (row: Row) => void): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'atoll-bench-'))
  const { nodes, onDisk, concurrency, sizeBytes, label } = shape
  const floorDirectory = onDisk ? directory : undefined
  const path = onDisk ? { path: join(directory, 'atoll') } : {}
  const { openCluster } = await storeOf(shape.packages)
  const cluster = await openCluster({ nodes, ...path })
  try {
    const { objects } = cluster.node(1)
    await objects.createBucket(BUCKET)
    const bodyOf = bodies(sizeBytes)
    const copies = Math.min(3, nodes)
    const where = `${nodes === 1 ? 'one node' : `${nodes} nodes`}, ${onDisk ? 'disk' : 'memory'}`
    const load = { ...shape, rounds: onDisk ? shape.rounds : ROUNDS_IN_MEMORY }

    const put = putting(objects, bodyOf)
    const writing = await writeFloor({ directory: floorDirectory, copies, bodyOf })
    const puts = await compare(put, writing, { ...load, warmUp: shape.warmUp.puts })
    onRow(rowOf(`PUT ${label}, ${where}`, concurrency, puts))
    await writing.close()

    const get = getting(objects, shape, await lending(objects))
    const reading = await readFloor({
      ...shape,
      directory: floorDirectory,
      objects: shape.operations,
      bodyOf,
    })
    const gets = await compare(get, reading, { ...load, warmUp: shape.warmUp.gets })
    onRow(rowOf(`GET ${label}, ${where}`, concurrency, gets))
    await reading.close()
  } finally {
    await cluster.close()
    await rm(directory, { recursive: true, force: true })
  }
}

function putting(objects: ObjectStore, bodyOf: (n: number) => Uint8Array): Subject {
  return {
    operation: async (n) => {
      const { size } = await objects.put(BUCKET, keyOf(n), [bodyOf(n)])
      return size
    },
    close: () => Promise.resolve(),
  }
}

const LENT = { chunks: 'lent' } as const

/** Chunks are lent, unless it is the store of a build that does not know how to. */
async function lending(objects: ObjectStore): Promise<GetOptions> {
  try {
    const { body } = await objects.get(BUCKET, keyOf(0), LENT)
    for await (const _ of body);
    return LENT
  } catch (error) {
    if (error instanceof TypeError) return {}
    throw error
  }
}

/** Reads what the writing before it has left. */
function getting(objects: ObjectStore, shape: Shape, options: GetOptions): Subject {
  return {
    operation: async (n) => {
      let bytes = 0
      const { body } = await objects.get(BUCKET, keyOf(n % shape.operations), options)
      for await (const chunk of body) bytes += chunk.length
      if (bytes !== shape.sizeBytes) throw new Error(`object ${n} has ${bytes} bytes, not ${shape.sizeBytes}`)
      return bytes
    },
    close: () => Promise.resolve(),
  }
}

function keyOf(n: number): string {
  return `object-${n}`
}
