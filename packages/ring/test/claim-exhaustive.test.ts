import { type ClaimMember, type ClaimResult, claim } from '@atoll/ring'
import { describe, expect, it } from 'vitest'
import { canBe, fewestMoves, gapOf, membersOf, plainMembers, zoneOwners, zonings } from './claim-model.ts'

function expectBalance(result: ClaimResult, members: readonly ClaimMember[]): void {
  const even = result.owners.length / members.length
  for (const { node } of members) {
    const count = result.owners.filter((owner) => owner === node).length
    expect([Math.floor(even), Math.ceil(even)]).toContain(count)
  }
}

/** Small generator of its own, so that the cases stay the same. */
function lottery(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state * 48271) % 0x7fffffff
    return state % limit
  }
}

describe('a new claim, exhaustively', () => {
  it('spaces nodes as widely as balance allows, up to n + 1: every node count on small rings', () => {
    for (const partitions of [8, 16, 32, 64]) {
      for (let nodes = 1; nodes <= partitions + 2; nodes++) {
        const members = plainMembers(nodes)
        for (let n = 1; n <= Math.min(4, nodes); n++) {
          const result = claim({ partitions, members, n })
          const widest = Math.floor(partitions / Math.ceil(partitions / nodes))
          expectBalance(result, members)
          expect(result.target, `${partitions} partitions, ${nodes} nodes, n ${n}`).toBe(
            Math.min(widest, n + 1),
          )
          expect(Math.min(gapOf(result.owners), n + 1)).toBe(result.target)
        }
      }
    }
  })

  it('finds the spacing of nodes and zones that brute force finds: 8 partitions, every zoning of 1 to 8 nodes', () => {
    for (let nodes = 1; nodes <= 8; nodes++) {
      for (const sizes of zonings(nodes)) {
        const members = membersOf(sizes)
        for (let n = 1; n <= Math.min(4, nodes); n++) expectWidest(members, n, 8)
      }
    }
  })

  it('and 16 partitions, every zoning of 3 to 5 nodes', () => {
    for (let nodes = 3; nodes <= 5; nodes++) {
      for (const sizes of zonings(nodes)) expectWidest(membersOf(sizes), 3, 16)
    }
  })

  /** Nodes first, then zones as far as nodes allow, then nodes one further. */
  function expectWidest(members: readonly ClaimMember[], n: number, partitions: number): void {
    const exists = (nodeGap: number, zoneGap: number): boolean =>
      canBe(partitions, members, { nodeGap, zoneGap })
    const widest = (limit: number, holds: (gap: number) => boolean): number => {
      let gap = limit
      while (gap > 1 && !holds(gap)) gap--
      return gap
    }
    const node = widest(n, (gap) => exists(gap, 1))
    const zone = widest(n, (gap) => exists(node, gap))
    const wide = exists(n + 1, zone) ? n + 1 : node
    const result = claim({ partitions, members, n })
    const label = `zones ${members.map((member) => member.zone).join(' ')}, n ${n}`
    expectBalance(result, members)
    expect(gapOf(result.owners), label).toBeGreaterThanOrEqual(wide)
    expect(gapOf(zoneOwners(result.owners, members)), label).toBeGreaterThanOrEqual(zone)
  }
})

describe('a claim from current owners, against brute force', () => {
  /** Moves no more than what balance and spacing force; a little more is free where zones cannot be kept apart. */
  function compare(partitions: number, cases: number, draw: (limit: number) => number): [number, number] {
    let moved = 0
    let fewest = 0
    for (let run = 0; run < cases; run++) {
      const n = 1 + draw(4)
      const nodes = n + draw(3)
      const zones = 1 + draw(nodes)
      const zoned = draw(2) === 1
      const members = plainMembers(nodes).map(({ node }) =>
        zoned ? { node, zone: `z${draw(zones)}` } : { node },
      )
      const current = Array.from({ length: partitions }, () => `n${draw(nodes + 1)}`)
      const result = claim({ partitions, members, n, current })
      const apart = { nodeGap: n, zoneGap: 1 }
      const nodeGap = canBe(partitions, members, apart) ? n : 1
      const zoneGap = canBe(partitions, members, { ...apart, zoneGap: n }) ? n : 1
      const least = fewestMoves(current, members, { nodeGap, zoneGap })!
      expectBalance(result, members)
      if (partitions === 8)
        expect(result.leastMoves).toBe(fewestMoves(current, members, { nodeGap: 1, zoneGap: 1 }))
      expect(result.moved).toBeGreaterThanOrEqual(least)
      expect(result.target).toBeGreaterThanOrEqual(nodeGap)
      expect(result.zoneTarget).toBeGreaterThanOrEqual(zoneGap)
      if (zoned && zoneGap < n) continue
      moved += result.moved
      fewest += least
    }
    return [moved, fewest]
  }

  it('reaches every spacing that exists and moves as little as can be: 8 partitions owned at random', () => {
    const [moved, fewest] = compare(8, 100, lottery(7))
    expect(moved).toBe(fewest)
  })

  it('and 16 partitions', () => {
    const [moved, fewest] = compare(16, 12, lottery(11))
    expect(moved).toBe(fewest)
  })
})
