import { runSeeds } from '@atoll/sim'
import { expect, test } from 'vitest'
import { BUGS } from '../src/bugs.ts'
import { BrokenPromises } from '../src/promises.ts'
import { houseScenario } from '../src/scenario.ts'

/** For each bug: by how many seeds it has to be caught, and which broken promises show it. */
const CAUGHT: Readonly<Record<string, { readonly within: number; readonly rules: readonly string[] }>> = {
  'drop-read-repair': { within: 10, rules: ['convergence'] },
  'ack-before-write': { within: 100, rules: ['lost-write', 'lost-element', 'lost-register', 'stale-set'] },
  'forget-sibling': { within: 10, rules: ['lost-element'] },
  'stale-index': { within: 20, rules: ['listing'] },
  'reuse-actor': { within: 100, rules: ['lost-element', 'lost-register', 'stale-set'] },
}

test('every bug has its place here', () => {
  expect(Object.keys(CAUGHT)).toEqual(Object.keys(BUGS))
})

test.each(Object.entries(CAUGHT))('%s is caught', { timeout: 300_000 }, async (name, { within, rules }) => {
  const { failures } = await runSeeds(houseScenario(BUGS[name]), { from: 0, count: within })
  const error = failures[0]?.failure?.error
  expect(error).toBeInstanceOf(BrokenPromises)
  const broken = error instanceof BrokenPromises ? error.violations.map(({ rule }) => rule) : []
  expect(
    rules.filter((rule) => broken.includes(rule)),
    broken.join(),
  ).not.toEqual([])
})
