import { type Draws, runSeed, runSeeds } from '@atoll/sim'
import { expect, test } from 'vitest'
import { DRAWS, type HouseOptions } from '../src/options.ts'
import { inWords } from '../src/report.ts'
import { houseScenario } from '../src/scenario.ts'
import { FOUND } from './found.ts'

test('thirty houses and more keep every promise', { timeout: 300_000 }, async () => {
  const warnings: string[] = []
  const onWarning = ({ message }: Error) => warnings.push(message)
  process.on('warning', onWarning)
  const seen = new Set<string>()
  // Thirty, and as many more as it takes to come by what is rare.
  for (let from = 0; from < 30 || (from < 120 && WAYS.some((mark) => !seen.has(mark))); from += 10) {
    const range = { from, count: 10 }
    const summary = await runSeeds(houseScenario(), range)
    const report = inWords(summary, { ...range, bug: undefined, kinds: [], json: false }, 1)
    expect(summary.failures, report).toEqual([])
    for (const mark of summary.marks.keys()) seen.add(mark)
  }
  process.off('warning', onWarning)
  expect(warnings).toEqual([])
  expect(WAYS.filter((mark) => !seen.has(mark))).toEqual([])
})

/** Where they have to come by, or they prove little. */
const WAYS = [
  'client.add firm in sets',
  'client.add unknown',
  'client.delete of nothing',
  'client.delete ok',
  'client.list ok',
  'client.put fail',
  'client.put firm in atoll.manifests',
  'client.put firm in registers',
  'client.put ok',
  'client.put unknown',
  'coordinator.get_unmet',
  'coordinator.put_declined',
  'coordinator.put_replica_failed',
  'coordinator.repair',
  'network.frame-lost',
  'network.frame-repeated',
  'objects.upload.abandoned',
  'vnode.batch-failed',
  'vnode.corrupt-record',
  'vnode.incarnation-renewed',
]

test('a seed is the same run every time, whatever ran before', async () => {
  const report = async (seed: number) => {
    const { traceHash, events, virtualMs } = await runSeed(seed, houseScenario())
    return { traceHash, events, virtualMs }
  }
  const first = await report(4)
  const other = await report(5)
  expect(await report(4)).toEqual(first)
  expect(await report(5)).toEqual(other)
  expect(other.traceHash).not.toBe(first.traceHash)
})

test.each(FOUND)('seed $seed: $what', async ({ seed, options }) => {
  const drawn = runSeed(seed, { ...houseScenario(), draws: DRAWS })
  expect((await drawn).failure?.message).toBeUndefined()
  const draws = {
    ...DRAWS,
    ...drawsOf({
      theme: 'none',
      collecting: false,
      buckets: false,
      recordBytes: 0,
      inlineBytes: 0,
      setReplicas: 3,
      bursts: false,
      torn: false,
      ...options,
    }),
  }
  expect((await runSeed(seed, { ...houseScenario(), draws })).failure?.message).toBeUndefined()
})

/** What was drawn then, whatever the seed draws now. */
function drawsOf(options: Partial<HouseOptions>): Partial<Draws<HouseOptions>> {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, () => value]))
}
