import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { MiB } from '@atoll/core'
import { bodies } from './bodies.ts'
import { compare, type Subject } from './measure.ts'
import type { PartOptions } from './parts.ts'
import { type Row, rowOf } from './report.ts'

/** What is measured of a pool of digest threads. */
interface Pool {
  stream(algorithm: 'md5'): {
    update(chunk: Uint8Array): undefined | Promise<void>
    digest(): Promise<Uint8Array>
    discard(): void
  }
  close(): Promise<void>
}

type PoolClass = new (options: { readonly workers: number }) => Pool

const LOAD = { operations: 320, warmUp: 640, rounds: 9 }

type OnRow = (row: Row) => void

/** MD5 of bodies of 1 MiB on one digest thread, a stream for each, beside `node:crypto` on the thread that calls. */
export const digestsParts: readonly ((onRow: OnRow, options: PartOptions) => Promise<void>)[] = [
  8, 4, 2, 1,
].map(
  (streams) =>
    (onRow: OnRow, { packages }: PartOptions) =>
      digests(streams, onRow, packages),
)

async function digests(streams: number, onRow: OnRow, packages: string): Promise<void> {
  const bodyOf = bodies(MiB)
  const DigestPool = await poolOf(packages)
  const pool = new DigestPool({ workers: 1 })
  const subject: Subject = {
    operation: async (n) => {
      const stream = pool.stream('md5')
      await stream.update(bodyOf(n))
      await stream.digest()
      return MiB
    },
    close: () => pool.close(),
  }
  const floor: Subject = {
    operation: async (n) => {
      createHash('md5').update(bodyOf(n)).digest()
      return MiB
    },
    close: () => Promise.resolve(),
  }
  const load = { ...LOAD, concurrency: streams }
  onRow(rowOf('digests on one worker', streams, await compare(subject, floor, load)))
  await subject.close()
}

/** That of another build is the same seen from here. */
async function poolOf(packages: string): Promise<PoolClass> {
  const path = resolve(packages, 'packages/node/dist/digest-pool.js')
  const module: { readonly DigestPool?: PoolClass } = await import(pathToFileURL(path).href)
  if (module.DigestPool === undefined) throw new TypeError(`${path} has no DigestPool`)
  return module.DigestPool
}
