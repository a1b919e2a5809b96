import { KiB, MiB } from '@atoll/core'
import type { AtollNode } from '@atoll/node'
import type { ObjectStore } from '@atoll/objects'
import { bodies } from '../bodies.ts'
import type { PartOptions } from '../parts.ts'
import { type GoalRow, goalRow } from './goal-report.ts'
import { BUCKET, eachOf, onDisk, withBucket } from './means.ts'

/** What is put in a round, and how. All but every fourth is deleted, so that each segment has some left to be moved. */
const BLOCKS = { objects: 683, bytes: MiB } as const
const DEAD_BYTES = 512 * MiB
const CONCURRENCY = 8
/**
 * How much of what was deleted has to be back on the disk for a round to end, and after how long it ends in any case. The
 * log keeps some of it for what is written meanwhile.
 */
const BACK_SHARE = 2 / 3
const LONGEST_MS = 120_000
const LOOK_MS = 250
/** One without a reclaim, and then one with it. The first two do not count: code is new. */
const ROUNDS = 4
/** How long either is measured at least. */
const LEAST_ROUND_MS = 15_000
/** The load: a put and a get begin so often, whether those before are done or not. */
const EVERY_MS = 10
const LIVE = { objects: 200, bytes: 16 * KiB } as const
/** The least that is measured of a time: below it the timer says more than the node. */
const LEAST_MS = 1

type Kind = 'put' | 'get'
type Latencies = Record<Kind, number[]>

/**
 * One node on disk under a steady load, in turn by itself and while 512 deleted objects of 1 MiB are collected and
 * their space comes back: how many times as long the slowest hundredth of its requests takes meanwhile.
 */
export function reclaimBesideLoad(onRow: (row: GoalRow) => void, { packages }: PartOptions): Promise<void> {
  return onDisk(packages, (open) =>
    withBucket(open({ nodes: 1 }), async (cluster) => {
      const node = cluster.node(1)
      const rounds: { readonly quiet: Latencies; readonly beside: Latencies; readonly tookMs: number }[] = []
      await putAll(node.objects, 'live', LIVE)
      for (let round = 0; round < ROUNDS; round++) {
        await putAll(node.objects, `block-${round}`, BLOCKS)
        const quiet = await under(node.objects, sleep(LEAST_ROUND_MS))
        await deleteMost(node.objects, `block-${round}`)
        const reclaiming = reclaim(node)
        const beside = await under(node.objects, Promise.all([reclaiming, sleep(LEAST_ROUND_MS)]))
        if (round > 0) rounds.push({ quiet, beside, tookMs: await reclaiming })
      }
      const name = '512 deleted MiB collected under load, one node'
      for (const kind of ['put', 'get'] as const) {
        const quietMs = median(rounds.map(({ quiet }) => p99(quiet[kind])))
        const besideMs = median(rounds.map(({ beside }) => p99(beside[kind])))
        const p99Row = { concurrency: 1, unit: 'times', figure: besideMs / quietMs, goal: 2 } as const
        onRow(goalRow({ name: `${name}: p99 of ${kind} ÷ without`, ...p99Row }))
      }
      const figure = Math.max(...rounds.map(({ tookMs }) => tookMs))
      onRow(goalRow({ name: `${name}: space back`, concurrency: 1, unit: 'ms', figure, goal: 60_000 }))
    }),
  )
}

async function deleteMost(objects: ObjectStore, prefix: string): Promise<void> {
  await eachOf({ to: BLOCKS.objects, concurrency: CONCURRENCY }, async (n) => {
    if (n % 4 !== 0) await objects.delete(BUCKET, `${prefix}-${n}`)
  })
}

/** Collects what was deleted, and waits until its space is back: how long after the collection that was. */
async function reclaim({ objects, storage }: AtollNode): Promise<number> {
  const before = (await storage.usage()).diskBytes ?? Number.NaN
  await objects.collect({ leewayMs: 0 })
  const collectedMs = performance.now()
  const enough = before - BACK_SHARE * DEAD_BYTES
  while (((await storage.usage()).diskBytes ?? 0) > enough) {
    if (performance.now() - collectedMs > LONGEST_MS) return Number.POSITIVE_INFINITY
    await sleep(LOOK_MS)
  }
  return performance.now() - collectedMs
}

/** How long the requests take that begin until `done`. */
async function under(objects: ObjectStore, done: Promise<unknown>): Promise<Latencies> {
  const bodyOf = bodies(LIVE.bytes)
  const latencies: Latencies = { put: [], get: [] }
  const timed = async (kind: Kind, startMs: number, request: Promise<unknown>) => {
    await request
    latencies[kind].push(performance.now() - startMs)
  }
  let isOver = false
  const over = done.finally(() => {
    isOver = true
  })
  const requests: Promise<void>[] = []
  const firstMs = performance.now()
  for (let n = 0; !isOver; n++) {
    // From when it was to begin: what keeps it from that is part of it.
    const startMs = firstMs + n * EVERY_MS
    const waitMs = startMs - performance.now()
    if (waitMs > 0) await sleep(waitMs)
    const key = `live-${(n * 7) % LIVE.objects}`
    requests.push(timed('put', startMs, objects.put(BUCKET, key, [bodyOf(n)])))
    const other = `live-${(n * 7 + 100) % LIVE.objects}`
    requests.push(timed('get', startMs, read(objects, other)))
  }
  await over
  await Promise.all(requests)
  return latencies
}

async function read(objects: ObjectStore, key: string): Promise<void> {
  for await (const _ of (await objects.get(BUCKET, key)).body);
}

function putAll(
  objects: ObjectStore,
  prefix: string,
  { objects: to, bytes }: { readonly objects: number; readonly bytes: number },
): Promise<void> {
  const bodyOf = bodies(bytes)
  return eachOf({ to, concurrency: CONCURRENCY }, (n) => objects.put(BUCKET, `${prefix}-${n}`, [bodyOf(n)]))
}

function p99(latenciesMs: readonly number[]): number {
  const sorted = [...latenciesMs].sort((a, b) => a - b)
  return Math.max(LEAST_MS, sorted[Math.floor(0.99 * sorted.length)] ?? Number.NaN)
}

function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
