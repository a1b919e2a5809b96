import { type Draws, runSeeds } from '@atoll/sim'
import { expect, test } from 'vitest'
import { BUGS } from '../src/bugs.ts'
import { DRAWS, type HouseOptions } from '../src/options.ts'
import { BrokenPromises } from '../src/promises.ts'
import { houseScenario } from '../src/scenario.ts'

interface Caught {
  /** Seeds that must be enough, from 0 on. */
  readonly within: number
  /** The broken promises that show this bug. */
  readonly rules: readonly string[]
  /** What is not drawn, so that a test of a rare bug takes seconds. */
  readonly fixed?: Partial<Draws<HouseOptions>>
}

const LOST = ['lost-write', 'lost-element', 'lost-register', 'unreadable']

/** Busy clients, and nothing but what is asked for besides. */
const APART = {
  keys: () => 2,
  clients: () => 4,
  operations: () => 20,
  changes: () => ({}),
  blackout: () => false,
}

const CAUGHT: Readonly<Record<string, Caught>> = {
  'drop-read-repair': { within: 20, rules: ['convergence'] },
  'ack-before-write': { within: 50, rules: [...LOST, 'left-behind'] },
  'forget-sibling': { within: 20, rules: ['lost-element'] },
  'stale-index': { within: 50, rules: ['listing'] },
  'forget-promise': { within: 100, rules: ['one-document'] },
  'delete-unacked': { within: 50, rules: ['undelivered', ...LOST] },
  'always-alone': { within: 50, rules: [...LOST, 'left-behind'] },
  'fallback-absence': {
    within: 50,
    rules: ['false-absence', 'false-corrupt'],
    fixed: {
      ...APART,
      sloppy: () => true,
      nodes: () => 5,
      keys: () => 3,
      operations: () => 40,
      durationMs: () => 6000,
      timeoutMs: () => 3000,
      maxDelayMs: () => 1,
      faults: () => ({ crash: 5, reset: 2 }),
      maxDown: () => 3,
      clearance: () => false,
    },
  },
  'unreachable-is-corrupt': { within: 50, rules: ['false-corrupt'] },
  'blind-repair': {
    within: 50,
    rules: ['left-behind'],
    fixed: { ...APART, clearance: () => true, faults: () => ({ partition: 3, weather: 3, 'slow-disk': 3 }) },
  },
  'merge-past-the-limit-refused': { within: 100, rules: ['convergence', 'undelivered', 'left-behind'] },
  'folder-of-the-first': {
    within: 20,
    rules: ['false-absence', 'stale-read'],
    fixed: {
      ...APART,
      keys: () => 3,
      operations: () => 40,
      nodes: () => 3,
      sloppy: () => false,
      faults: () => ({ partition: 8 }),
    },
  },
  'two-owners': { within: 50, rules: ['two-owners'] },
  'nameless-peers': {
    within: 50,
    rules: ['phantom-element', 'never-written', 'phantom-read'],
    fixed: { faults: () => ({}), changes: () => ({ impostor: 1 }) },
  },
  'drop-hints': {
    within: 20,
    rules: ['missed'],
    fixed: { ...APART, faults: () => ({ partition: 4, weather: 3 }), clearance: () => false },
  },
  'lease-beats-active': {
    within: 100,
    rules: ['unreadable'],
    fixed: {
      faults: () => ({ suspend: 2, lapse: 3 }),
      changes: () => ({}),
      collecting: () => true,
      durationMs: () => 6000,
      timeoutMs: () => 10_000,
    },
  },
  'raised-n-at-once': {
    within: 50,
    rules: ['false-absence', 'stale-set'],
    fixed: {
      ...APART,
      keys: () => 3,
      nodes: () => 6,
      partitions: () => 32,
      sloppy: () => false,
      durationMs: () => 6000,
      maxDelayMs: () => 20,
      clearance: () => false,
      setReplicas: () => 1,
      faults: () => ({ partition: 5, 'slow-disk': 3, weather: 3 }),
      changes: () => ({ raise: 1 }),
    },
  },
}

/**
 * Two bugs that no seed tried tells of any more: mostly a node whose disk is another one, or an older one, hears from the
 * others what it has lost before it writes the same key again, and takes a new name for it. Stories hold what they break:
 * `given-twice` and `incarnation` in vnode, `lives` in node, `restored` in store.
 */
const HIDDEN = ['reuse-actor', 'reuse-dots-of-a-copy']

test('every bug has its place here', () => {
  expect([...Object.keys(CAUGHT), ...HIDDEN].sort()).toEqual(Object.keys(BUGS).sort())
})

test.each(Object.entries(CAUGHT))('%s is caught', { timeout: 300_000 }, async (name, caught) => {
  const scenario = { ...houseScenario(BUGS[name]), draws: { ...DRAWS, ...caught.fixed } }
  // A bug may show in other ways before, such as in a cluster that does not come to rest: one has to tell what it is.
  const seen: string[] = []
  for (let seed = 0; seed < caught.within; seed++) {
    const { failures } = await runSeeds(scenario, { from: seed, count: 1 })
    const error = failures[0]?.failure?.error
    if (error === undefined) continue
    const broken =
      error instanceof BrokenPromises ? error.violations.map(({ rule }) => rule) : [String(error)]
    seen.push(`seed ${seed}: ${[...new Set(broken)].join()}`)
    if (broken.some((rule) => caught.rules.includes(rule))) return
  }
  expect.fail(`no seed tells of the bug; ${seen.join('; ')}`)
})
