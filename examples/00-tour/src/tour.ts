import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Census, Cluster } from '@atoll/node'
import { openCluster } from '@atoll/store'
import colors from 'picocolors'
import { progressBar } from './progress.ts'
import { ringPicture } from './ring-picture.ts'

export interface TourPlan {
  readonly file: string
  /** Key under which the file is stored. */
  readonly key: string
  readonly sizeBytes: number
  /** Of the file, in hexadecimal digits: what must come out again. */
  readonly sha256: string
  /** Where the nodes keep their data. */
  readonly directory: string
}

const BUCKET = 'tour'
const REPLICAS = 3
const LOOK_MS = 50
const WHOLE_WITHIN_MS = 60_000

/**
 * A file goes in through node 1, nodes 5 and 4 die and return, it comes out of nodes 2 and 5. Throws at the first thing
 * that is not so.
 */
export async function runTour(plan: TourPlan): Promise<void> {
  say(
    colors.bold(`Atoll: ${plan.file} (${megabytes(plan.sizeBytes)}) goes through five nodes in this process`),
  )
  await using cluster = await openCluster({ path: plan.directory, nodes: 5 })
  chapter('Five nodes on five directories share a ring of 64 partitions; every block gets three replicas.')
  showRing(cluster)
  say(
    '\n  Each digit is a partition, and the number of the node that owns it; later, × is one whose node is down.',
  )

  chapter('The file goes in through n1, in blocks of 1 MiB, several at a time. In the middle, n5 dies.')
  await cluster.node(1).objects.createBucket(BUCKET)
  await upload(cluster, plan)

  chapter('Now n4 dies as well: two of five nodes are gone.')
  await cluster.crash('n4')
  showRing(cluster)

  chapter('The file comes out through n2, and every block is checked on the way.')
  await download(cluster, plan, 2)
  const before = await census(cluster, plan.key)

  chapter(
    'n4 and n5 come back, and those who stood in for them give them what they missed. Nobody reads anything.',
  )
  await cluster.restart('n4')
  await cluster.restart('n5')
  await untilWhole(cluster, plan.key)
  showCensus(cluster, before, await census(cluster, plan.key))

  chapter('The file comes out through n5, which was dead while half of it was written.')
  await download(cluster, plan, 5)
  say(colors.green(`\n  ${plan.sha256}  the same bytes that went in\n`))
}

async function upload(cluster: Cluster, plan: TourPlan): Promise<void> {
  const bar = progressBar('PUT via n1', plan.sizeBytes)
  let crash: Promise<void> | undefined
  const { etag } = await cluster.node(1).objects.put(BUCKET, plan.key, createReadStream(plan.file), {
    onProgress: ({ bytes }) => {
      bar.at(bytes)
      if (bytes >= plan.sizeBytes / 2) crash ??= cluster.crash('n5')
    },
  })
  await crash
  bar.end()
  say(`  etag ${etag}; n5 died on the way, and no write failed`)
}

async function download(cluster: Cluster, plan: TourPlan, through: number): Promise<void> {
  const bar = progressBar(`GET via n${through}`, plan.sizeBytes)
  const object = await cluster.node(through).objects.get(BUCKET, plan.key)
  const digest = createHash('sha256')
  let bytes = 0
  for await (const chunk of object.body) {
    digest.update(chunk)
    bytes += chunk.length
    bar.at(bytes)
  }
  bar.end()
  const sha256 = digest.digest('hex')
  if (sha256 !== plan.sha256)
    throw new Error(`the bytes differ: SHA-256 was ${plan.sha256}, came back as ${sha256}`)
}

/** Every record has all its replicas where they belong, and nobody keeps any for others. */
async function untilWhole(cluster: Cluster, key: string): Promise<void> {
  const records = await cluster.node(2).objects.recordsOf(BUCKET, key)
  const signal = AbortSignal.timeout(WHOLE_WITHIN_MS)
  for (;;) {
    const counts = [...(await cluster.census(records)).values()]
    const sum = (role: 'primary' | 'fallback') => counts.reduce((total, count) => total + count[role], 0)
    if (sum('fallback') === 0 && sum('primary') === REPLICAS * records.length) return
    await sleep(LOOK_MS, undefined, { signal })
  }
}

async function census(cluster: Cluster, key: string): Promise<Census> {
  return cluster.census(await cluster.node(2).objects.recordsOf(BUCKET, key))
}

function showCensus(cluster: Cluster, before: Census, after: Census): void {
  say('\n  replicas of its records       before     after')
  for (const name of cluster.names) {
    const columns = [before, after].map((count) => String(count.get(name)?.primary ?? 0).padStart(6))
    say(`  ${name.padEnd(26)} ${columns.join('    ')}`)
  }
}

function showRing(cluster: Cluster): void {
  say(`\n${ringPicture(cluster.ring, cluster.names, (name) => cluster.isRunning(name))}`)
}

function chapter(text: string): void {
  say(`\n${colors.bold('»')} ${text}`)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
