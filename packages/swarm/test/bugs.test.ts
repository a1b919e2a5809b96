import { runSeeds } from '@atoll/sim'
import { expect, test } from 'vitest'
import { BUGS } from '../src/bugs.ts'
import { BrokenPromises } from '../src/promises.ts'
import { houseScenario } from '../src/scenario.ts'

interface Caught {
  /** Seeds that must be enough, from this one on. */
  readonly from: number
  readonly count: number
  /** The broken promises that show this bug. */
  readonly rules: readonly string[]
}

const LOST = ['lost-write', 'lost-element', 'lost-register', 'unreadable']

const CAUGHT: Readonly<Record<string, Caught>> = {
  'drop-read-repair': { from: 0, count: 20, rules: ['convergence'] },
  'ack-before-write': { from: 0, count: 50, rules: LOST },
  'forget-sibling': { from: 0, count: 20, rules: ['lost-element'] },
  'stale-index': { from: 0, count: 50, rules: ['listing'] },
  'reuse-actor': { from: 200, count: 150, rules: LOST },
}

test('every bug has its place here', () => {
  expect(Object.keys(CAUGHT)).toEqual(Object.keys(BUGS))
})

test.each(Object.entries(CAUGHT))(
  '%s is caught',
  { timeout: 300_000 },
  async (name, { from, count, rules }) => {
    const { failures } = await runSeeds(houseScenario(BUGS[name]), { from, count })
    const error = failures[0]?.failure?.error
    expect(error).toBeInstanceOf(BrokenPromises)
    const broken = error instanceof BrokenPromises ? error.violations.map(({ rule }) => rule) : []
    expect(
      rules.filter((rule) => broken.includes(rule)),
      broken.join(),
    ).not.toEqual([])
  },
)
