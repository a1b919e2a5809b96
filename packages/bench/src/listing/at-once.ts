import { KiB } from '@atoll/core'
import type { ObjectStore } from '@atoll/objects'
import { bodies } from '../bodies.ts'
import type { PartOptions } from '../parts.ts'
import { type GoalRow, goalRow } from './goal-report.ts'
import { BUCKET, cpuMsOf, onDisk, withBucket } from './means.ts'

const BYTES = 16 * KiB
/** Rounds of either kind, in turn; the first of each does not count. */
const ROUNDS = 4

type OnRow = (row: GoalRow) => void
type Part = (onRow: OnRow, options: PartOptions) => Promise<void>

/** Puts of one key that all begin at once: how many are answered, and what they cost beside keys of their own. */
export const ofOneKey =
  (nodes: number, count: number): Part =>
  (onRow, { packages }) =>
    onDisk(packages, (open) =>
      withBucket(open({ nodes }), async (cluster) => {
        const { objects } = cluster.node(1)
        const name = `${count} puts of 16 KiB at once, one key, ${nodes} node${nodes > 1 ? 's' : ''}`
        let fewest = count
        const costs = { one: 0, own: 0 }
        for (let round = 0; round < ROUNDS; round++) {
          const own = await cpuMsOf(() => putAll(objects, count, (n) => `own-${round}-${n}`))
          const one = await cpuMsOf(async () => {
            fewest = Math.min(fewest, await putAll(objects, count, () => `one-${round}`))
          })
          if (round === 0) continue
          costs.own += own
          costs.one += one
        }
        onRow(goalRow({ name, concurrency: count, unit: 'answered', figure: fewest, goal: count }))
        const figure = costs.one / costs.own
        onRow(goalRow({ name: `${name}: CPU`, concurrency: count, unit: 'times', figure, goal: 2 }))
      }),
    )

/** Puts of keys of their own that all begin at once: how many are answered, and when the first is. */
export const ofOwnKeys =
  (count: number): Part =>
  (onRow, { packages }) =>
    onDisk(packages, (open) =>
      withBucket(open({ nodes: 1 }), async (cluster) => {
        const { objects } = cluster.node(1)
        const name = `${count} puts of 16 KiB at once, one node`
        const startedMs = performance.now()
        let firstMs = Number.POSITIVE_INFINITY
        const onAnswer = () => {
          firstMs = Math.min(firstMs, performance.now() - startedMs)
        }
        const answered = await putAll(objects, count, (n) => `${n}`, onAnswer)
        const allMs = performance.now() - startedMs
        onRow(goalRow({ name, concurrency: count, unit: 'answered', figure: answered, goal: count }))
        const first = { name: `${name}: share of the time after the first`, unit: 'ratio' } as const
        onRow(goalRow({ ...first, concurrency: count, figure: 1 - firstMs / allMs, goal: 0.75 }))
      }),
    )

/** How many were answered. */
async function putAll(
  objects: ObjectStore,
  count: number,
  keyOf: (n: number) => string,
  onAnswer = () => {},
): Promise<number> {
  const bodyOf = bodies(BYTES)
  const outcomes = await Promise.allSettled(
    Array.from({ length: count }, async (_, n) => {
      await objects.put(BUCKET, keyOf(n), [bodyOf(n)])
      onAnswer()
    }),
  )
  return outcomes.filter(({ status }) => status === 'fulfilled').length
}
