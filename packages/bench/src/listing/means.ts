import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '@atoll/node'
import type { OpenClusterOptions } from '@atoll/store'
import { storeOf } from '../store-of.ts'

/** Opens a cluster of one build on the directory of a part, as often as it is asked. */
export type Open = (options: OpenClusterOptions) => Promise<Cluster>

export const BUCKET = 'bench'

/** Runs a part on a directory of its own, which goes when it is done. */
export async function onDisk(packages: string, part: (open: Open) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'atoll-bench-'))
  const { openCluster: openIn } = await storeOf(packages)
  try {
    await part((options) => openIn({ ...options, path: join(directory, 'atoll') }))
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Runs `task` on a cluster with an empty bucket, and closes it. */
export async function withBucket(
  opening: Promise<Cluster>,
  task: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const cluster = await opening
  try {
    await cluster.node(1).objects.createBucket(BUCKET)
    await task(cluster)
  } finally {
    await cluster.close()
  }
}

/** Processor time of all threads of this process, in milliseconds. */
export async function cpuMsOf(task: () => Promise<unknown>): Promise<number> {
  const usage = process.cpuUsage()
  await task()
  const { user, system } = process.cpuUsage(usage)
  return (user + system) / 1000
}

/** Does the operations `from` to `to` - 1, so many at a time. */
export async function eachOf(
  {
    from = 0,
    to,
    concurrency,
  }: { readonly from?: number; readonly to: number; readonly concurrency: number },
  operation: (n: number) => Promise<unknown>,
): Promise<void> {
  let next = from
  const worker = async () => {
    while (next < to) await operation(next++)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}
