import { createRing, Placement } from '@atoll/ring'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Absence } from '../src/kv.ts'
import { type Cover, type CoverPlan, findGap, planCover } from '../src/scan-cover.ts'

function planOf(
  nodes: number,
  partitions: number,
  { r = 2, pr = 0, absence = 'any' as Absence, down = [] as string[] } = {},
): CoverPlan {
  const owners = Array.from({ length: partitions }, (_, at) => `n${at % nodes}`)
  const placement = new Placement(createRing({ partitions, owners }))
  const lists = owners.map((_, slice) => placement.active(slice, 3, (node) => !down.includes(node)))
  const holders = owners.map((_, slice) => placement.primaries(slice, 3))
  return { epoch: 7, lists, holders, needs: lists.map(() => ({ r, pr, absence })), local: 'n0' }
}

/** What must hold of any cover. */
function check(plan: CoverPlan, cover: Cover): void {
  for (const [slice, list] of plan.lists.entries()) {
    const answering = cover.nodes.flatMap(({ node, vnodes }) =>
      vnodes.filter(({ slices }) => slices.includes(slice)).map(({ partition }) => ({ node, partition })),
    )
    const { r, pr } = plan.needs[slice] ?? { r: 0, pr: 0 }
    const needed = Math.max(r, pr)
    expect(answering).toHaveLength(needed)
    expect(new Set(answering.map(({ node }) => node)).size).toBe(needed)
    const roles = answering.map(
      ({ node, partition }) =>
        list.find((entry) => entry.node === node && entry.partition === partition)?.role,
    )
    const primaries = list.filter(({ role }) => role === 'primary').length
    expect(roles.filter((role) => role === 'primary')).toHaveLength(Math.min(needed, primaries))
    expect(cover.bySlice[slice]?.map((at) => cover.nodes[at]?.node).sort()).toEqual(
      answering.map(({ node }) => node).sort(),
    )
  }
  for (const { slices, vnodes } of cover.nodes)
    expect(slices).toBe(vnodes.reduce((sum, vnode) => sum + vnode.slices.length, 0))
}

test('every slice has r answering nodes, pr of them primaries, and primaries first', () => {
  const cases = fc.record({
    nodes: fc.integer({ min: 3, max: 9 }),
    partitions: fc.constantFrom(16, 64),
    r: fc.integer({ min: 1, max: 3 }),
    pr: fc.integer({ min: 0, max: 3 }),
    away: fc.integer({ min: 0, max: 2 }),
  })
  fc.assert(
    fc.property(cases, ({ nodes, partitions, r, pr, away }) => {
      const down = Array.from({ length: away }, (_, at) => `n${at + 1}`)
      const plan = planOf(nodes, partitions, { r, pr, down })
      if (findGap(plan) === undefined) check(plan, planCover(plan))
    }),
    { numRuns: 30 },
  )
})

test('few nodes, the local one among them, evenly loaded', () => {
  const cover = planCover(planOf(12, 64, { r: 1 }))
  expect(cover.nodes.length).toBeLessThanOrEqual(6)
  expect(cover.nodes.map(({ node }) => node)).toContain('n0')
  const loads = cover.nodes.map(({ slices }) => slices)
  expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(64 / 6)
})

test('a slice without a primary, or with too few replicas, is a gap', () => {
  expect(findGap(planOf(5, 8))).toBeUndefined()
  expect(findGap(planOf(5, 8, { down: ['n1', 'n2', 'n3'] }))).toMatchObject({ slice: 1, primaries: 0 })
  expect(findGap(planOf(3, 8, { down: ['n1', 'n2'] }))).toEqual({
    slice: 0,
    n: 3,
    reachable: 1,
    primaries: 1,
    r: 2,
    pr: 0,
    absence: 'any',
    down: ['n1', 'n2'],
  })
  expect(findGap(planOf(5, 8, { pr: 3, down: ['n1'] }))).toMatchObject({ primaries: 2 })
})

test('who answers for what there is not must be primaries, unless the reader is content with any', () => {
  const down = ['n1', 'n2']
  expect(findGap(planOf(5, 8, { down }))).toBeUndefined()
  expect(findGap(planOf(5, 8, { down, absence: 'primaries' }))).toMatchObject({
    slice: 0,
    primaries: 1,
    down,
  })
  expect(findGap(planOf(5, 8, { down, absence: 'primaries', r: 1 }))).toBeUndefined()
  expect(findGap(planOf(5, 8, { down: ['n1'], absence: 'primaries' }))).toBeUndefined()
})

test('1024 partitions on 200 nodes', () => {
  const plan = planOf(200, 1024)
  const cover = planCover(plan)
  check(plan, cover)
  expect(cover.nodes.length).toBeLessThan(200)
})
