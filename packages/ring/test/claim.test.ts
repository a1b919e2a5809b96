import { type ClaimMember, type ClaimOptions, claim } from '@atoll/ring'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gapOf, largestZone, plainMembers, zoneOwners } from './claim-model.ts'

const names = (from: number, to: number): ClaimMember[] =>
  Array.from({ length: to - from }, (_, at) => ({ node: `node-${from + at}` }))
const inZones = (members: readonly ClaimMember[], zones: number): ClaimMember[] =>
  members.map(({ node }, at) => ({ node, zone: `zone-${at % zones}` }))

const anyClaim: fc.Arbitrary<ClaimOptions> = fc
  .record({
    partitions: fc.constantFrom(8, 16, 32, 64),
    n: fc.integer({ min: 1, max: 5 }),
    nodes: fc.integer({ min: 1, max: 12 }),
    zones: fc.integer({ min: 0, max: 6 }),
    strangers: fc.integer({ min: 0, max: 3 }),
  })
  .chain(({ partitions, n, nodes, zones, strangers }) =>
    fc.record({
      partitions: fc.constant(partitions),
      n: fc.constant(n),
      members: fc
        .array(fc.integer({ min: 0, max: zones }), { minLength: nodes, maxLength: nodes })
        .map((of) =>
          of.map((zone, at) => (zone === 0 ? { node: `n${at}` } : { node: `n${at}`, zone: `z${zone}` })),
        ),
      current: fc.option(
        fc
          .array(fc.integer({ min: 0, max: nodes + strangers - 1 }), {
            minLength: partitions,
            maxLength: partitions,
          })
          .map((owners) => owners.map((owner) => `n${owner}`)),
        { nil: undefined },
      ),
    }),
  )

describe('a claim', () => {
  it('keeps its promises and tells the truth, whatever it starts from', () => {
    fc.assert(
      fc.property(anyClaim, (options) => {
        const { partitions, members, current, n = 3 } = options
        const result = claim(options)
        const counts = members.map(({ node }) => result.owners.filter((owner) => owner === node).length)
        expect(counts.reduce((sum, count) => sum + count, 0)).toBe(partitions)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        const zones = zoneOwners(result.owners, members)
        expect(result.target).toBe(Math.min(gapOf(result.owners), n + 1))
        expect(result.zoneTarget).toBe(Math.min(gapOf(zones), n + 1))
        expect(result.moved).toBe(result.owners.filter((owner, p) => current && current[p] !== owner).length)
        expect(result.violations).toEqual(plainViolations(result.owners, zones, options))
        const widest = Math.floor(partitions / Math.ceil(partitions / members.length))
        if (members.length >= n && widest >= n) expect(result.target).toBeGreaterThanOrEqual(n)
        const zonesFit = largestZone(partitions, members) <= Math.floor(partitions / n)
        if (new Set(zones).size >= n && zonesFit) expect(result.zoneTarget).toBeGreaterThanOrEqual(n)
      }),
      { numRuns: 40 },
    )
  })

  /** Looks at each window of n by itself. */
  function plainViolations(
    owners: readonly string[],
    zones: readonly string[],
    options: ClaimOptions,
  ): unknown[] {
    const { members, n = 3 } = options
    const all = new Set(
      zoneOwners(
        members.map(({ node }) => node),
        members,
      ),
    ).size
    const windows = (values: readonly string[]): number[] =>
      values.map((_, p) => new Set([...values, ...values].slice(p, p + n)).size)
    const nodes = windows(owners).map((distinct, partition) => {
      return { partition, kind: 'node', distinct, wanted: Math.min(n, members.length) }
    })
    const zoned = windows(zones).map((distinct, partition) => {
      return { partition, kind: 'zone', distinct, wanted: Math.min(n, all) }
    })
    return nodes.flatMap((node, p) => [node, zoned[p]!]).filter(({ distinct, wanted }) => distinct < wanted)
  }

  it('does not depend on the order of the members', () => {
    fc.assert(
      fc.property(anyClaim, (options) => {
        const members = [...options.members].reverse()
        expect(claim({ ...options, members }).owners).toEqual(claim(options).owners)
      }),
      { numRuns: 10 },
    )
  })

  it('moves nothing where nothing is wrong', () => {
    for (let nodes = 1; nodes <= 12; nodes++) {
      const members = plainMembers(nodes)
      const { owners } = claim({ partitions: 64, members })
      expect(claim({ partitions: 64, members, current: owners })).toMatchObject({
        owners,
        moved: 0,
        leastMoves: 0,
      })
    }
  })

  it.each<[string, object, string]>([
    ['partitions', { partitions: 20 }, 'power of two'],
    ['no members', { members: [] }, 'members must be 1 to 1024 nodes, got 0'],
    ['members that are no array', { members: 'a' }, 'members must be an array'],
    [
      'a node twice',
      { members: [{ node: 'a' }, { node: 'a' }] },
      'members must name each node once, got "a" twice',
    ],
    ['a bad name', { members: [{ node: 'a b' }] }, 'got "a b"'],
    ['a bad zone', { members: [{ node: 'a', zone: '' }] }, 'zone must be'],
    ['a misspelt member', { members: [{ node: 'a', rack: 'r' }] }, 'no option "rack"'],
    ['n', { n: 0 }, 'n must be an integer from 1 to 16'],
    ['too few owners', { current: ['a'] }, 'current must have one name per partition (16), got 1'],
    ['a misspelt option', { target: 3 }, 'no option "target"'],
  ])('refuses %s', (_, change, message) => {
    const options: ClaimOptions = { partitions: 16, members: [{ node: 'a' }], ...change }
    expect(() => claim(options)).toThrow(message)
  })
})

describe('movement', () => {
  /** Moves and least moves, added up, of a cluster that goes through these sets of members. */
  function history(
    partitions: number,
    steps: readonly (readonly ClaimMember[])[],
  ): { moved: number; least: number } {
    let current = claim({ partitions, members: steps[0]! }).owners
    const total = { moved: 0, least: 0 }
    for (const members of steps.slice(1)) {
      const result = claim({ partitions, members, current })
      if (members.length > 3) expect(result.violations).toEqual([])
      total.moved += result.moved
      total.least += result.leastMoves
      current = result.owners
    }
    return total
  }
  const upTo = (most: number): ClaimMember[][] => Array.from({ length: most }, (_, at) => names(0, at + 1))

  it.each([64, 128, 256])(
    'is the least that balance needs, from 1 to 12 nodes one by one: %i partitions',
    (Q) => {
      const { moved, least } = history(Q, upTo(12))
      expect(moved).toBe(least)
    },
  )

  it.each([64, 128, 256])('is the least when a node is replaced: %i partitions', (Q) => {
    for (const nodes of [4, 5, 8, 12]) {
      const { moved, least } = history(Q, [names(0, nodes), names(1, nodes + 1)])
      expect(moved).toBe(least)
    }
  })

  it('is the least when a node leaves 8 or more, and near to it for 7', () => {
    for (const Q of [64, 128, 256]) {
      for (const nodes of [8, 9, 10, 11, 12]) {
        const { moved, least } = history(Q, [names(0, nodes), names(1, nodes)])
        expect(moved, `${Q} partitions, ${nodes} nodes`).toBeLessThanOrEqual(1.1 * least)
      }
      const { moved, least } = history(Q, [names(0, 7), names(1, 7)])
      expect(moved).toBeLessThanOrEqual(1.2 * least)
    }
  })

  // Among 5 nodes, the neighbours of what a leaver has are mostly the four others, so that others must make room. An
  // exact count (dynamic programming over this ring) says 20 of 64, where balance alone needs 13.
  it('is near to what spacing forces when a node leaves 5', () => {
    const { moved, least } = history(64, [names(0, 5), names(1, 5)])
    expect(least).toBe(13)
    expect(moved).toBeLessThanOrEqual(1.2 * 20)
  })

  /** Each step by itself: how many partitions change hands, as a multiple of the least that balance allows. */
  function ratios(steps: readonly (readonly ClaimMember[])[]): number[] {
    let current = claim({ partitions: 64, members: steps[0]! }).owners
    return steps.slice(1).map((members) => {
      const result = claim({ partitions: 64, members, current })
      current = result.owners
      return result.moved / result.leastMoves
    })
  }

  it('is at most 1.2 times the least at every step from 1 to 8 nodes and back, and for 1, 5, 3 and a replaced node', () => {
    const sizes = [1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 1]
    expect(Math.max(...ratios(sizes.map((nodes) => names(0, nodes))))).toBeLessThanOrEqual(1.2)
    const replaced = [...names(0, 2), ...names(5, 6)]
    expect(ratios([names(0, 1), names(0, 5), names(0, 3), replaced])).toEqual([1, 1, 1])
    const oneByOne = [1, 2, 3, 4, 5, 4, 3].map((nodes) => names(0, nodes))
    expect(ratios([...oneByOne, replaced])).toEqual(new Array(7).fill(1))
  })

  it.each([2, 3])('is so with %i zones too, while each gets or loses a node in the same change', (zones) => {
    const shapes = [zones, 2 * zones, 3 * zones, 2 * zones, zones].map((nodes) =>
      inZones(names(0, nodes), zones),
    )
    expect(Math.max(...ratios(shapes))).toBeLessThanOrEqual(1.2)
  })

  it('lets one node of each zone join with no more than 1.2 times the least', () => {
    for (const Q of [64, 256]) {
      for (const zones of [3, 4]) {
        const before = inZones(names(0, zones), zones)
        const after = inZones(names(0, 2 * zones), zones)
        const first = claim({ partitions: Q, members: before })
        const result = claim({ partitions: Q, members: after, current: first.owners })
        expect(result.moved).toBeLessThanOrEqual(1.2 * result.leastMoves)
        expect(result.violations.length).toBeLessThanOrEqual(4)
      }
    }
  })
})

describe('special cases', () => {
  it('3 nodes or 3 zones fail in at most 4 windows of 3, as no power of two is a multiple of 3', () => {
    for (const partitions of [8, 64, 1024]) {
      const nodes = claim({ partitions, members: names(0, 3) })
      const zones = claim({ partitions, members: inZones(names(0, 9), 3) })
      for (const { violations } of [nodes, zones]) {
        expect(violations.length).toBeGreaterThan(0)
        expect(violations.length).toBeLessThanOrEqual(4)
      }
    }
  })

  it('a zone that must own more than a third cannot be kept apart, and says so', () => {
    const members = names(0, 6).map(({ node }, at) => ({ node, zone: at < 4 ? 'large' : `small-${at}` }))
    const result = claim({ partitions: 64, members })
    expect(result.target).toBe(4)
    expect(result.violations.length).toBeGreaterThan(0)
    expect(result.violations.every(({ kind, wanted }) => kind === 'zone' && wanted === 3)).toBe(true)
  })

  it('with fewer nodes than n the ring waits for those to come: they take the least, and all is apart', () => {
    let current = claim({ partitions: 64, members: names(0, 1), n: 4 }).owners
    for (const nodes of [2, 3, 4]) {
      const result = claim({ partitions: 64, members: names(0, nodes), n: 4, current })
      expect(result.moved).toBe(result.leastMoves)
      expect(result.violations).toEqual([])
      current = result.owners
    }
    expect(gapOf(current)).toBe(4)
  })

  it('a large cluster: 1024 partitions, 200 nodes, growing, shrinking, with zones', () => {
    const members = names(0, 200)
    const first = claim({ partitions: 1024, members })
    expect(first).toMatchObject({ target: 4, violations: [] })
    for (const next of [names(0, 201), names(10, 200)]) {
      const result = claim({ partitions: 1024, members: next, current: first.owners })
      expect(result).toMatchObject({ target: 4, violations: [], moved: result.leastMoves })
    }
    const zoned = claim({ partitions: 1024, members: inZones(members, 5) })
    expect(zoned).toMatchObject({ target: 4, zoneTarget: 3, violations: [] })
  })

  it('the nodes beside those of a failed one are many: a new ring is not one round repeated', () => {
    const { owners } = claim({ partitions: 256, members: names(0, 16) })
    const after = owners.filter((_, p) => owners[(p + 255) % 256] === 'node-0')
    expect(new Set(after).size).toBeGreaterThan(6)
  })

  it('more nodes than partitions: the rest own nothing', () => {
    const result = claim({ partitions: 8, members: names(0, 12) })
    expect(new Set(result.owners).size).toBe(8)
    expect(result.violations).toEqual([])
  })
})
