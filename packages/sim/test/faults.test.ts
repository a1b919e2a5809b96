import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Fault, type FaultPlanOptions, type PlannedFault, Prng, planFaults } from '../src/index.ts'

const ALL = {
  partition: 3,
  weather: 2,
  crash: 5,
  replace: 2,
  rot: 2,
  'slow-disk': 1,
  'failing-disk': 1,
  'full-disk': 1,
  'full-disks': 1,
  reset: 1,
  freeze: 1,
  suspend: 1,
  lapse: 1,
  restore: 1,
  skew: 1,
  'far-skew': 1,
  'throwing-ports': 1,
  drift: 1,
  'scarce-disks': 1,
}
const options: FaultPlanOptions = {
  nodes: ['n1', 'n2', 'n3', 'n4', 'n5'],
  durationMs: 60_000,
  weights: ALL,
  budget: { maxDown: 2, maxDamaged: 1 },
}
const isDown = ({ kind }: Fault) => ['crash', 'replace', 'freeze', 'suspend'].includes(kind)
const nodeOf = (fault: Fault) => ('node' in fault ? fault.node : undefined)

/** Nodes without power at each moment at which that changes. */
const downAt = (plan: readonly PlannedFault[], atMs: number) =>
  plan.filter(({ fromMs, untilMs, fault }) => isDown(fault) && fromMs <= atMs && atMs < untilMs)

test('keeps within the budget whatever the seed', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 0, max: 3 }),
      fc.integer({ min: 0, max: 3 }),
      (seed, maxDown, maxDamaged) => {
        const plan = planFaults(new Prng(`${seed}`), { ...options, budget: { maxDown, maxDamaged } })
        for (const { fromMs } of plan) {
          const down = downAt(plan, fromMs).map(({ fault }) => nodeOf(fault))
          expect(down.length).toBeLessThanOrEqual(maxDown)
          expect(new Set(down).size).toBe(down.length)
        }
        const damaged = plan.filter(({ fault }) => ['rot', 'replace', 'restore'].includes(fault.kind))
        expect(new Set(damaged.map(({ fault }) => nodeOf(fault))).size).toBeLessThanOrEqual(maxDamaged)
      },
    ),
    { seed: 1, numRuns: 300 },
  )
})

test('begins in order, ends within the duration, and leaves a machine alone that has its fault', () => {
  for (let seed = 0; seed < 50; seed++) {
    const plan = planFaults(new Prng(`${seed}`), options)
    expect(plan.map(({ fromMs }) => fromMs)).toEqual(
      plan.map(({ fromMs }) => fromMs).toSorted((a, b) => a - b),
    )
    for (const { fromMs, untilMs, fault } of plan) {
      expect(untilMs).toBeGreaterThan(fromMs)
      if (fault.kind !== 'freeze' && fault.kind !== 'suspend') expect(untilMs).toBeLessThanOrEqual(60_000)
      const others = plan.filter(
        (other) => other.fromMs >= fromMs && other.fromMs < untilMs && other.fault !== fault,
      )
      if (fault.kind === 'partition')
        expect(others.map((other) => other.fault.kind)).not.toContain('partition')
      if (fault.kind !== 'crash') continue
      for (const other of others) {
        if (nodeOf(other.fault) === fault.node)
          expect(['skew', 'far-skew', 'drift', 'throwing-ports']).toContain(other.fault.kind)
      }
    }
  }
})

test('draws every kind that has a weight, and no other', () => {
  const kindsOf = (weights: FaultPlanOptions['weights']) => {
    const plans = Array.from({ length: 30 }, (_, seed) =>
      planFaults(new Prng(`${seed}`), { ...options, weights }),
    )
    return new Set(plans.flat().map(({ fault }) => fault.kind))
  }
  expect([...kindsOf(ALL)].toSorted()).toEqual(Object.keys(ALL).toSorted())
  expect([...kindsOf({ crash: 1, skew: 1, rot: 0 })].toSorted()).toEqual(['crash', 'skew'])
})

test('splits all nodes in two', () => {
  const plan = planFaults(new Prng('1'), { ...options, weights: { partition: 1 } })
  expect(plan.length).toBeGreaterThan(3)
  for (const { fault } of plan) {
    if (fault.kind !== 'partition') expect.fail(fault.kind)
    expect([...fault.groupA, ...fault.groupB].toSorted()).toEqual(options.nodes)
    expect(fault.groupA.length * fault.groupB.length).toBeGreaterThan(0)
  }
})

test.each([
  [{ weights: {} }, 'weights must name a kind'],
  [{ weights: { crush: 1 } }, 'weights has no option "crush"'],
  [{ nodes: [] }, 'nodes.length must be an integer from 1'],
  [{ durationMs: 0 }, 'durationMs must be an integer from 1'],
  [{ budget: { maxDown: -1, maxDamaged: 0 } }, 'budget.maxDown'],
])('refuses %j', (wrong, message) => {
  expect(() => planFaults(new Prng('1'), { ...options, ...wrong } as FaultPlanOptions)).toThrow(message)
})
