import { MiB } from '@atoll/core'
import type { ObjectStore } from '@atoll/objects'
import { bodies } from '../bodies.ts'
import type { PartOptions } from '../parts.ts'
import { type GoalRow, goalRow } from './goal-report.ts'
import { BUCKET, cpuMsOf, eachOf, onDisk, withBucket } from './means.ts'

const BYTES = 200
const CONCURRENCY = 64
const TENTHS = 10
const PAGE = 1000
/** Pages that are measured, one after the other, and such before them for the code to be compiled. */
const PAGES = { 1000: 50, 1: 500 } as const
const WARM_UP = 0.4
const RSS_SAMPLE_MS = 20
/** Keys come in no order: a prime that divides no number of objects that is likely to be asked for. */
const STRIDE = 611_953

type Tell = (name: string, row: Pick<GoalRow, 'unit' | 'figure' | 'goal'>, concurrency?: number) => void

/** One node with many small objects on disk: what a put, a listing and opening it again cost as there are more of them. */
export function manyObjects(
  onRow: (row: GoalRow) => void,
  { packages, objects: count }: PartOptions,
): Promise<void> {
  const tell: Tell = (name, row, concurrency = 1) =>
    onRow(goalRow({ name: `${count} of 200 B, one node: ${name}`, concurrency, ...row }))
  return onDisk(packages, async (open) => {
    await withBucket(open({ nodes: 1 }), async (cluster) => {
      const { objects } = cluster.node(1)
      const memory = watchMemory()
      const rates = await putTenths(objects, count)
      const most = memory.end() / MiB
      const figure = (rates.at(-1) ?? Number.NaN) / (rates[0] ?? Number.NaN)
      tell('put rate, last tenth ÷ first', { unit: 'ratio', figure, goal: 0.8 }, CONCURRENCY)
      tell('resident memory while putting, most', { unit: 'MiB', figure: most, goal: 250 }, CONCURRENCY)
      await measureListings(objects, count, tell)
    })
    const startedMs = performance.now()
    const again = await open({ nodes: 1 })
    tell('open again', { unit: 'ms', figure: performance.now() - startedMs, goal: 100 })
    await again.close()
  })
}

/** How many puts there are in a second, tenth by tenth. */
async function putTenths(objects: ObjectStore, count: number): Promise<readonly number[]> {
  const bodyOf = bodies(BYTES)
  const rates: number[] = []
  for (let tenth = 0; tenth < TENTHS; tenth++) {
    const from = Math.round((count * tenth) / TENTHS)
    const to = Math.round((count * (tenth + 1)) / TENTHS)
    const startedMs = performance.now()
    await eachOf({ from, to, concurrency: CONCURRENCY }, (n) =>
      objects.put(BUCKET, keyOf((n * STRIDE) % count), [bodyOf(n)]),
    )
    rates.push((1000 * (to - from)) / (performance.now() - startedMs))
  }
  return rates
}

async function measureListings(objects: ObjectStore, count: number, tell: Tell): Promise<void> {
  for (const limit of [1, PAGE] as const) {
    const name = limit === 1 ? 'page of one key' : `page of ${limit} in the middle`
    const figure = await pageCpuMs(objects, count, limit)
    tell(name, { unit: 'CPU ms', figure, goal: limit === 1 ? 1 : 16 })
  }
  const startedMs = performance.now()
  const cpuMs = await cpuMsOf(async () => {
    let listed = 0
    let after: string | undefined
    do {
      const page = await objects.list(BUCKET, { limit: PAGE, after })
      listed += page.objects.length
      after = page.next
    } while (after !== undefined)
    if (listed !== count) throw new Error(`${listed} of ${count} objects are listed`)
  })
  const figure = (1000 * count) / (performance.now() - startedMs)
  tell('whole listing', { unit: 'keys/s', figure, goal: 60_000 })
  tell('whole listing, a key', { unit: 'CPU µs', figure: (1000 * cpuMs) / count, goal: 1e6 / 60_000 })
}

/** A page at each of many places around the middle. */
async function pageCpuMs(objects: ObjectStore, count: number, limit: keyof typeof PAGES): Promise<number> {
  const pages = PAGES[limit]
  const read = async (at: number) => {
    const place = Math.floor(count / 4 + ((at * STRIDE) % Math.floor(count / 2)))
    const page = await objects.list(BUCKET, { limit, after: keyOf(place) })
    if (page.objects.length !== limit)
      throw new Error(`a page has ${page.objects.length} objects, not ${limit}`)
  }
  await eachOf({ to: WARM_UP * pages, concurrency: 1 }, read)
  return (await cpuMsOf(() => eachOf({ to: pages, concurrency: 1 }, read))) / pages
}

function keyOf(n: number): string {
  return `object-${String(n).padStart(9, '0')}`
}

/** Samples until `end`, which answers the most that there was, in bytes. */
function watchMemory(): { readonly end: () => number } {
  let most = process.memoryUsage.rss()
  const sampler = setInterval(() => {
    most = Math.max(most, process.memoryUsage.rss())
  }, RSS_SAMPLE_MS)
  return {
    end: () => {
      clearInterval(sampler)
      return most
    },
  }
}
