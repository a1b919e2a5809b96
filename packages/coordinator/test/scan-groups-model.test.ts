import type { StoredRecord } from '@atoll/causality'
import { compareBytes, fromUtf8, type TermGroups, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Coordinator, KvScan, KvScanPage } from '../src/index.ts'
import { firstsOf } from './fake-replicas.ts'
import { type Islands, islands, keyId } from './islands.ts'

const NAMES = [
  'a',
  'a/',
  'a/1',
  'a/2',
  'a/3',
  'a/b/1',
  'a/b/2',
  'b/1',
  'b/2',
  'b/3',
  'c',
  'c/1',
  'd/1',
  'ÿ/1',
]

const command = fc.record({ name: fc.constantFrom(...NAMES), kind: fc.constantFrom('put', 'put', 'delete') })

/** Of each key one of three replicas may be behind: by how many of the key's changes, from none to all. */
const lags = fc.array(fc.record({ replica: fc.nat({ max: 2 }), changes: fc.nat({ max: 4 }) }), {
  minLength: NAMES.length,
  maxLength: NAMES.length,
})

const question = fc.record({
  prefix: fc.constantFrom('', 'a', 'a/', 'b/'),
  delimiter: fc.constantFrom('/', '/b', '1'),
  limit: fc.integer({ min: 1, max: 5 }),
})

type Command = typeof command extends fc.Arbitrary<infer T> ? T : never
type Lag = typeof lags extends fc.Arbitrary<(infer T)[]> ? T : never

/** Puts one replica of each key back to where it was so many changes of the key ago. */
type LagBehind = () => void

/** Runs the history, and answers which names are there in the end. */
async function runHistory(
  { coordinator, replicas, primaries }: Islands,
  history: readonly Command[],
  lag: readonly Lag[],
): Promise<{ readonly there: ReadonlySet<string>; readonly lagBehind: LagBehind }> {
  const there = new Set<string>()
  const states = new Map<string, (StoredRecord | undefined)[]>(NAMES.map((name) => [name, [undefined]]))
  const laggardOf = (name: string) => primaries(keyId(name))[lag[NAMES.indexOf(name)]?.replica ?? 0]
  for (const { name, kind } of history) {
    const id = keyId(name)
    const indexes = [{ index: 'list', scope: utf8('s'), term: utf8(name), payload: utf8(name) }]
    if (kind === 'delete') await coordinator.delete(id)
    else {
      const { context } = await coordinator.get(id)
      await coordinator.put(id, { value: utf8(name), indexes, context })
    }
    if (kind === 'put') there.add(name)
    else there.delete(name)
    await coordinator.idle()
    const laggard = laggardOf(name)
    if (laggard !== undefined) states.get(name)?.push(replicas.peek(laggard, id))
  }
  const lagBehind = () => {
    for (const [at, name] of NAMES.entries()) {
      const laggard = laggardOf(name)
      const known = states.get(name) ?? []
      const record = known[Math.max(0, known.length - 1 - (lag[at]?.changes ?? 0))]
      if (laggard === undefined) continue
      if (record === undefined) replicas.forget(laggard, keyId(name))
      else replicas.store(laggard, keyId(name), record)
    }
  }
  return { there, lagBehind }
}

async function pagesOf(coordinator: Coordinator, scan: KvScan): Promise<string[]> {
  const found: string[] = []
  let after: Uint8Array | undefined
  do {
    const page: KvScanPage = await coordinator.scan({ ...scan, after })
    found.push(...page.entries.map(({ term }) => fromUtf8(term)))
    after = page.next
    if (found.length > NAMES.length) throw new Error(`the pages do not end: ${found.join(' ')}`)
  } while (after !== undefined)
  return found
}

function expected(there: ReadonlySet<string>, groups: TermGroups): string[] {
  const terms = [...there].map((name) => ({ term: utf8(name) }))
  const sorted = terms.sort((a, b) => compareBytes(a.term, b.term))
  return firstsOf(sorted, groups).map(({ term }) => fromUtf8(term))
}

test('of each group the first entry is shown that a scan of all keys would show, whatever history replicas have missed', async () => {
  const histories = fc.array(command, { minLength: 5, maxLength: 40 })
  const questions = fc.array(question, { minLength: 3, maxLength: 6 })
  /** Nodes of a build before, which answer with every entry. */
  const before = fc.subarray(['n1', 'n2', 'n3', 'n4', 'n5'])
  await fc.assert(
    fc.asyncProperty(histories, lags, questions, before, async (history, lag, asked, old) => {
      const setting = await islands()
      const { world, coordinator, replicas } = setting
      replicas.knowsGroups = (node) => !old.includes(node)
      await world.run(async () => {
        const { there, lagBehind } = await runHistory(setting, history, lag)
        for (const { prefix, delimiter, limit } of asked) {
          // A scan repairs what it has read.
          lagBehind()
          const groups = { prefix: utf8(prefix), delimiter: utf8(delimiter) }
          const scan = { type: 'default', index: 'list', scope: utf8('s'), groups, limit }
          expect(await pagesOf(coordinator, scan)).toEqual(expected(there, groups))
          await coordinator.idle()
        }
      })
    }),
    { numRuns: 60 },
  )
})
