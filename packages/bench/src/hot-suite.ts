import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KiB } from '@atoll/core'
import { bodies } from './bodies.ts'
import { readFloor } from './floor.ts'
import { compare, type Subject } from './measure.ts'
import type { PartOptions } from './parts.ts'
import { type Row, rowOf } from './report.ts'
import { storeOf } from './store-of.ts'

const KEYS = 100
const EXPONENT = 0.99
const BYTES = 4 * KiB
const NODES = 5
const LOAD = { operations: 2000, warmUp: 4000, rounds: 5, concurrency: 32 }
const BUCKET = 'bench'

/**
 * GET of 4 KiB from five nodes on disk, of 100 keys that are drawn by Zipf's law with the exponent 0.99, as those of YCSB
 * are; the floor reads as many bytes from a file.
 */
export const hotParts: readonly ((onRow: (row: Row) => void, options: PartOptions) => Promise<void>)[] = [
  hotKeys,
]

async function hotKeys(onRow: (row: Row) => void, { packages }: PartOptions): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'atoll-bench-'))
  const { openCluster } = await storeOf(packages)
  const cluster = await openCluster({ nodes: NODES, path: join(directory, 'atoll') })
  try {
    const { objects } = cluster.node(1)
    await objects.createBucket(BUCKET)
    const bodyOf = bodies(BYTES)
    for (let n = 0; n < KEYS; n++) await objects.put(BUCKET, `object-${n}`, [bodyOf(n)])
    const draw = zipf(KEYS, EXPONENT)
    const get: Subject = {
      operation: async (n) => {
        let bytes = 0
        const { body } = await objects.get(BUCKET, `object-${draw(n)}`)
        for await (const chunk of body) bytes += chunk.length
        if (bytes !== BYTES) throw new Error(`an object has ${bytes} bytes, not ${BYTES}`)
        return bytes
      },
      close: () => Promise.resolve(),
    }
    const floor = await readFloor({ directory, sizeBytes: BYTES, objects: KEYS, bodyOf })
    onRow(
      rowOf('GET 4 KiB of 100 hot keys, 5 nodes, disk', LOAD.concurrency, await compare(get, floor, LOAD)),
    )
    await floor.close()
  } finally {
    await cluster.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** Draws 0 to `count` - 1, the k-th as often as 1 / (k + 1)^exponent says; the n-th draw is always the same. */
export function zipf(count: number, exponent: number): (n: number) => number {
  const shares = Array.from({ length: count }, (_, k) => (k + 1) ** -exponent)
  const total = shares.reduce((sum, share) => sum + share, 0)
  return (n) => {
    let left = evenly(n) * total
    const at = shares.findIndex((share) => {
      left -= share
      return left < 0
    })
    return at < 0 ? count - 1 : at
  }
}

/** Numbers from 0 up to 1 that look random: the finalizer of MurmurHash3. */
function evenly(n: number): number {
  let h = (n + 1) | 0
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32
}
