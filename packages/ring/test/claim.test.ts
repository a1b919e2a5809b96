import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ClaimResult, claim } from '../src/index.ts'

const nodesOf = (count: number) => Array.from({ length: count }, (_, at) => ({ node: `n${at + 1}` }))
const zonesOf = (zones: readonly number[]) =>
  zones.map((zone, at) => ({ node: `n${at + 1}`, zone: `z${zone}` }))

function countsOf(owners: readonly string[], members: readonly { node: string }[]): number[] {
  return members.map(({ node }) => owners.filter((owner) => owner === node).length)
}

function isBalanced(owners: readonly string[], members: readonly { node: string }[]): boolean {
  const fair = owners.length / members.length
  return countsOf(owners, members).every((count) => count === Math.floor(fair) || count === Math.ceil(fair))
}

/** Partitions that begin a window of n with fewer than `wanted` distinct labels: the whole ring, wrap-around included. */
function badWindows(labels: readonly string[], n: number, wanted = n): number {
  return labels.filter((_, at) => {
    const window = Array.from({ length: n }, (_, step) => labels[(at + step) % labels.length])
    return new Set(window).size < wanted
  }).length
}

/** Every balanced assignment of 8 partitions. */
function* balancedAssignments(count: number): Generator<string[]> {
  const members = nodesOf(count)
  const most = Math.ceil(8 / count)
  const counts = new Array<number>(count).fill(0)
  const owners: string[] = []
  function* fill(): Generator<string[]> {
    if (owners.length === 8) {
      if (isBalanced(owners, members)) yield [...owners]
      return
    }
    for (const [at, { node }] of members.entries()) {
      if (counts[at]! === most) continue
      counts[at]! += 1
      owners.push(node)
      yield* fill()
      owners.pop()
      counts[at]! -= 1
    }
  }
  yield* fill()
}

describe('against brute force on 8 partitions', () => {
  for (const count of [1, 2, 3, 4, 5, 6]) {
    for (const n of [1, 2, 3, 4]) {
      test(`${count} nodes, n = ${n}: as good as can be`, () => {
        const { owners, violations } = claim({ partitions: 8, members: nodesOf(count), n })
        expect(isBalanced(owners, nodesOf(count))).toBe(true)
        // With fewer nodes than n, all of them in every window is what can be had.
        const wanted = Math.min(n, count)
        let possible = false
        for (const other of balancedAssignments(count)) {
          possible = badWindows(other, n, wanted) === 0
          if (possible) break
        }
        expect(badWindows(owners, n, wanted) === 0).toBe(possible)
        expect(violations.length === 0).toBe(possible)
      })
    }
  }

  test.each([
    [2, 3, 1],
    [3, 4, 2],
    [4, 5, 2],
    [5, 4, 2],
    [4, 3, 2],
    [5, 6, 3],
  ])(
    'from %i to %i nodes with n = %i it moves the least that balance and distance allow',
    (before, after, n) => {
      const { owners: current } = claim({ partitions: 8, members: nodesOf(before), n })
      const { owners, moved } = claim({ partitions: 8, members: nodesOf(after), n, current })
      expect(owners.filter((owner, at) => owner !== current[at])).toHaveLength(moved)
      let least = 8
      for (const other of balancedAssignments(after)) {
        if (badWindows(other, n) > 0) continue
        least = Math.min(least, other.filter((owner, at) => owner !== current[at]).length)
      }
      expect(badWindows(owners, n)).toBe(0)
      expect(moved).toBe(least)
    },
  )
})

describe('on rings of every size', () => {
  const sizes = [8, 16, 32, 64, 128, 256]

  test('it is balanced, and keeps n apart wherever that can be', () => {
    for (const partitions of sizes) {
      for (let count = 1; count <= Math.min(24, partitions); count++) {
        for (const n of [2, 3]) {
          const members = nodesOf(count)
          const { owners } = claim({ partitions, members, n })
          expect(isBalanced(owners, members)).toBe(true)
          // The power of a cycle C_Q^(n-1) takes n + ceil(r / q) colours, where Q = q n + r.
          const remainder = partitions % n
          const colours = n + Math.ceil(remainder / Math.floor(partitions / n))
          if (count > colours)
            expect([partitions, count, n, badWindows(owners, n)]).toEqual([partitions, count, n, 0])
        }
      }
    }
  })

  test('it says which partitions begin a window that could not be kept', () => {
    const { owners, violations } = claim({ partitions: 64, members: nodesOf(3), n: 3 })
    expect(violations.length).toBeGreaterThan(0)
    expect(badWindows(owners, 3)).toBeGreaterThan(0)
  })

  test('1024 partitions and 200 nodes', () => {
    const members = nodesOf(200)
    const { owners, violations } = claim({ partitions: 1024, members, n: 3 })
    expect([isBalanced(owners, members), violations, badWindows(owners, 4)]).toEqual([true, [], 0])
  })

  test('zones are kept apart while there are enough of them', () => {
    for (const zones of [3, 4, 5]) {
      const members = zonesOf(Array.from({ length: 3 * zones }, (_, at) => at % zones))
      const { owners } = claim({ partitions: 64, members, n: 3 })
      const zoneOf = new Map(members.map(({ node, zone }) => [node, zone]))
      const labels = owners.map((owner) => zoneOf.get(owner) ?? '')
      if (zones > 3) expect([zones, badWindows(labels, 3)]).toEqual([zones, 0])
      expect(isBalanced(owners, members)).toBe(true)
    }
  })
})

describe('changes', () => {
  function grow(partitions: number, counts: readonly number[]): { ratio: number; results: ClaimResult[] } {
    const results: ClaimResult[] = []
    for (const count of counts) {
      const current = results.at(-1)?.owners
      const members = nodesOf(count)
      results.push(claim(current === undefined ? { partitions, members } : { partitions, members, current }))
    }
    const changes = results.slice(1)
    const moved = changes.reduce((sum, result) => sum + result.moved, 0)
    return { ratio: moved / changes.reduce((sum, result) => sum + result.leastMoves, 0), results }
  }

  test.each([64, 128, 256])(
    '%i partitions grow from 1 to 12 nodes and shrink to 3: at most 1.2 x the least moves',
    (partitions) => {
      const up = Array.from({ length: 12 }, (_, at) => at + 1)
      const { ratio, results } = grow(partitions, [...up, 11, 10, 9, 8, 7, 6, 5, 4, 3])
      expect(ratio).toBeLessThanOrEqual(1.2)
      for (const { moved, leastMoves } of results) expect(moved).toBeGreaterThanOrEqual(leastMoves)
    },
  )

  test('a node is replaced by moving what it had, and nothing else', () => {
    const { owners: current } = claim({ partitions: 64, members: nodesOf(6) })
    const members = [...nodesOf(5), { node: 'new' }]
    const { owners, moved } = claim({ partitions: 64, members, current })
    expect(moved).toBe(current.filter((owner) => owner === 'n6').length)
    expect(owners).toEqual(current.map((owner) => (owner === 'n6' ? 'new' : owner)))
  })

  test('the same question has the same answer, and nothing moves when nothing changed', () => {
    const count = fc.integer({ min: 1, max: 12 })
    fc.assert(
      fc.property(fc.constantFrom(16, 32, 64), count, count, (partitions, before, after) => {
        const first = claim({ partitions, members: nodesOf(before) })
        expect(claim({ partitions, members: nodesOf(before), current: first.owners }).moved).toBe(0)
        const change = { partitions, members: nodesOf(after).reverse(), current: first.owners }
        expect(claim(change)).toEqual(claim(change))
      }),
      { numRuns: 60 },
    )
  })
})
