import type { Cluster } from '@atoll/node'
import type { OpenClusterOptions } from '@atoll/store'
import type { PartOptions } from '../parts.ts'
import { type GoalRow, goalRow } from './goal-report.ts'
import { BUCKET, cpuMsOf, eachOf, onDisk, withBucket } from './means.ts'

const FOLDERS = 1000
const IN_EACH = 100
const CONCURRENCY = 64
const PAGES = 5

type OnRow = (row: GoalRow) => void

/** A page of 1000 common prefixes over 10^5 keys. */
export function prefixesOfOne(onRow: OnRow, { packages }: PartOptions): Promise<void> {
  return onDisk(packages, (open) =>
    withBucket(open({ nodes: 1 }), async (cluster) => {
      await fill(cluster)
      const figure = (await cpuMsOf(() => eachOf({ to: PAGES, concurrency: 1 }, () => page(cluster)))) / PAGES
      onRow(goalRow({ name: nameFor('one node'), concurrency: 1, unit: 'CPU ms', figure, goal: 200 }))
    }),
  )
}

/** The same on five nodes: how many scans of replicas there are for every 100 prefixes. */
export function prefixesOfFive(onRow: OnRow, { packages }: PartOptions): Promise<void> {
  let scans = 0
  const replicas: OpenClusterOptions['replicas'] = (_, inner) => ({
    get: (...asked) => inner.get(...asked),
    put: (...asked) => inner.put(...asked),
    coordinate: (...asked) => inner.coordinate(...asked),
    hint: (...asked) => inner.hint(...asked),
    scan: (...asked) => {
      scans += 1
      return inner.scan(...asked)
    },
  })
  return onDisk(packages, (open) =>
    withBucket(open({ nodes: 5, replicas }), async (cluster) => {
      await fill(cluster)
      scans = 0
      await page(cluster)
      const figure = (100 * scans) / FOLDERS
      const name = `${nameFor('five nodes')}, for every 100`
      onRow(goalRow({ name, concurrency: 1, unit: 'scans', figure, goal: 3 }))
    }),
  )
}

async function fill(cluster: Cluster): Promise<void> {
  const { objects } = cluster.node(1)
  await eachOf({ to: FOLDERS * IN_EACH, concurrency: CONCURRENCY }, (n) => {
    const folder = String(n % FOLDERS).padStart(4, '0')
    return objects.put(BUCKET, `${folder}/${n}`, '')
  })
}

async function page(cluster: Cluster): Promise<void> {
  const { prefixes } = await cluster.node(1).objects.list(BUCKET, { delimiter: '/', limit: FOLDERS })
  if (prefixes.length !== FOLDERS) throw new Error(`${prefixes.length} of ${FOLDERS} prefixes are listed`)
}

function nameFor(where: string): string {
  return `page of ${FOLDERS} prefixes over ${FOLDERS * IN_EACH} keys, ${where}`
}
