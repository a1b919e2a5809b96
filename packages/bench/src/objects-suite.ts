import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KiB, MiB } from '@atoll/core'
import type { ObjectStore } from '@atoll/objects'
import { openCluster } from '@atoll/store'
import { bodies } from './bodies.ts'
import { readFloor, writeFloor } from './floor.ts'
import { compare, type Subject } from './measure.ts'
import { type Row, rowOf } from './report.ts'

interface Shape {
  readonly sizeBytes: number
  readonly label: string
  readonly concurrency: number
  readonly operations: number
  /** Enough for the code to be compiled: it is new in each process. */
  readonly warmUp: number
  /** On disk. In memory, where nothing that was put is ever given back, `ROUNDS_IN_MEMORY`. */
  readonly rounds: number
}

const SHAPES: readonly Shape[] = [
  { label: '4 KiB', sizeBytes: 4 * KiB, concurrency: 32, operations: 2000, warmUp: 4000, rounds: 5 },
  { label: '1 MiB', sizeBytes: MiB, concurrency: 8, operations: 80, warmUp: 240, rounds: 11 },
  { label: '64 MiB', sizeBytes: 64 * MiB, concurrency: 2, operations: 4, warmUp: 8, rounds: 7 },
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
export const objectsParts: readonly ((onRow: (row: Row) => void) => Promise<void>)[] = SETTINGS.flatMap(
  (setting) => SHAPES.map((shape) => (onRow: (row: Row) => void) => measureShape(setting, shape, onRow)),
)

async function measureShape(setting: Setting, shape: Shape, onRow: (row: Row) => void): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'atoll-bench-'))
  const floorDirectory = setting.onDisk ? directory : undefined
  const path = setting.onDisk ? { path: join(directory, 'atoll') } : {}
  const cluster = await openCluster({ nodes: setting.nodes, ...path })
  try {
    const { objects } = cluster.node(1)
    await objects.createBucket(BUCKET)
    const bodyOf = bodies(shape.sizeBytes)
    const copies = Math.min(3, setting.nodes)
    const where = `${setting.nodes === 1 ? 'one node' : `${setting.nodes} nodes`}, ${setting.onDisk ? 'disk' : 'memory'}`
    const load = { ...shape, rounds: setting.onDisk ? shape.rounds : ROUNDS_IN_MEMORY }

    const put = putting(objects, bodyOf)
    const writing = await writeFloor({ directory: floorDirectory, copies, bodyOf })
    onRow(rowOf(`PUT ${shape.label}, ${where}`, shape.concurrency, await compare(put, writing, load)))
    await writing.close()

    const get = getting(objects, shape)
    const reading = await readFloor({
      ...shape,
      directory: floorDirectory,
      objects: shape.operations,
      bodyOf,
    })
    onRow(rowOf(`GET ${shape.label}, ${where}`, shape.concurrency, await compare(get, reading, load)))
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

/** Reads what the writing before it has left. */
function getting(objects: ObjectStore, shape: Shape): Subject {
  return {
    operation: async (n) => {
      let bytes = 0
      const { body } = await objects.get(BUCKET, keyOf(n % shape.operations), { chunks: 'lent' })
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
