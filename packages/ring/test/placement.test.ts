import {
  createRing,
  MAX_REPLICAS,
  Placement,
  type PreferenceEntry,
  type Ring,
  replicaTable,
} from '@atoll/ring'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const ringOf = (owners: string, zones = new Map<string, string>()): Ring =>
  createRing({ partitions: owners.length, owners: [...owners], zones })
const show = (list: readonly PreferenceEntry[]): string =>
  list.map((entry) => `${entry.node}${entry.role === 'fallback' ? '*' : ''}`).join(' ')
const up =
  (...down: string[]) =>
  (node: string): boolean =>
    !down.includes(node)

const anyRing: fc.Arbitrary<Ring> = fc
  .record({
    partitions: fc.constantFrom(8, 16, 32),
    nodes: fc.integer({ min: 1, max: 7 }),
    zoneCount: fc.integer({ min: 0, max: 4 }),
  })
  .chain(({ partitions, nodes, zoneCount }) =>
    fc.record({
      owners: fc.array(fc.integer({ min: 0, max: nodes - 1 }), {
        minLength: partitions,
        maxLength: partitions,
      }),
      zones: fc.array(fc.integer({ min: 0, max: zoneCount }), { minLength: nodes, maxLength: nodes }),
    }),
  )
  .map(({ owners, zones }) => {
    // Zone 0 stands for none. A zone has the name of a node on purpose: they must not be taken for one another.
    const named = zones.flatMap((zone, node): [string, string][] =>
      zone === 0 ? [] : [[`n${node}`, `n${zone}`]],
    )
    const names = owners.map((owner) => `n${owner}`)
    return createRing({ partitions: names.length, owners: names, zones: new Map(named) })
  })
const anyN = fc.integer({ min: 1, max: 6 })

const zoneOf = (ring: Ring, node: string): string => {
  const zone = ring.zones.get(node)
  return zone === undefined ? `alone ${node}` : `zone ${zone}`
}

/** As slow and plain as the doc comment: look at the whole ring again for every place of the list. */
function plainPrimaries(ring: Ring, slice: number, n: number): PreferenceEntry[] {
  const list: PreferenceEntry[] = []
  const ringOrder = Array.from({ length: ring.partitions }, (_, step) => (slice + step) % ring.partitions)
  while (list.length < n) {
    const free = ringOrder.filter((p) => !list.some((entry) => entry.node === ring.owners[p]))
    const fresh = free.filter(
      (p) => !list.some((entry) => zoneOf(ring, entry.node) === zoneOf(ring, ring.owners[p]!)),
    )
    const partition = fresh[0] ?? free[0]
    if (partition === undefined) break
    list.push({ partition: slice, node: ring.owners[partition]!, role: 'primary', epoch: 0 })
  }
  return list
}

describe('primaries', () => {
  it('are the next n partitions where their nodes are distinct', () => {
    const placement = new Placement(ringOf('abcdabcd'))
    expect(show(placement.primaries(0, 3))).toBe('a b c')
    expect(show(placement.primaries(6, 3))).toBe('c d a')
  })

  it('never meet on one node, though 8 partitions cannot go round on 3 nodes', () => {
    const placement = new Placement(ringOf('abcabcab'))
    expect(show(placement.primaries(6, 3))).toBe('a b c')
    expect(show(placement.primaries(7, 3))).toBe('b a c')
  })

  it('are fewer in a smaller cluster', () => {
    expect(show(new Placement(ringOf('abababab')).primaries(3, 3))).toBe('b a')
    expect(show(new Placement(ringOf('aaaaaaaa')).primaries(3, 3))).toBe('a')
  })

  it('prefer zones that the list does not have yet', () => {
    const zones = new Map([...'abcd'].map((node) => [node, node < 'c' ? 'east' : 'west']))
    const placement = new Placement(ringOf('abcdabcd', zones))
    expect(show(placement.primaries(0, 2))).toBe('a c')
    expect(show(placement.primaries(0, 3))).toBe('a c b')
    expect(show(placement.primaries(0, 4))).toBe('a c b d')
  })

  it('are what the plain rule says, in every ring', () => {
    fc.assert(
      fc.property(anyRing, anyN, (ring, n) => {
        const placement = new Placement(ring)
        for (let slice = 0; slice < ring.partitions; slice++) {
          expect(placement.primaries(slice, n)).toEqual(plainPrimaries(ring, slice, n))
        }
      }),
    )
  })

  it('of n are the beginning of those of n + 1', () => {
    fc.assert(
      fc.property(anyRing, anyN, (ring, n) => {
        const placement = new Placement(ring)
        for (let slice = 0; slice < ring.partitions; slice++) {
          const list = placement.primaries(slice, n)
          expect(placement.primaries(slice, n + 1).slice(0, list.length)).toEqual(list)
        }
      }),
    )
  })

  it('are computed once and cannot be changed', () => {
    const placement = new Placement(ringOf('abcdabcd'))
    const list = placement.primaries(0, 3)
    expect(placement.primaries(0, 3)).toBe(list)
    expect(Object.isFrozen(list) && Object.isFrozen(list[0])).toBe(true)
  })

  it('refuse a partition or an n that cannot be', () => {
    const placement = new Placement(ringOf('abcdabcd'))
    for (const slice of [-1, 8, 0.5, Number.NaN])
      expect(() => placement.primaries(slice, 3)).toThrow(RangeError)
    for (const n of [0, 1.5, MAX_REPLICAS + 1]) expect(() => placement.primaries(0, n)).toThrow(RangeError)
  })
})

describe('the active list', () => {
  const placement = new Placement(ringOf('abcdeabc'))

  it('is the primaries while they are up', () => {
    expect(placement.active(0, 3, up('d', 'e'))).toBe(placement.primaries(0, 3))
  })

  it('has a fallback for each primary that is down, after those that are up', () => {
    expect(show(placement.active(0, 3, up('b')))).toBe('a c d*')
    expect(show(placement.active(0, 3, up('b', 'd')))).toBe('a c e*')
    expect(show(placement.active(0, 3, up('a', 'c')))).toBe('b d* e*')
    expect(show(placement.active(0, 3, up('a', 'b', 'c')))).toBe('d* e*')
    expect(show(placement.active(6, 3, up('c')))).toBe('b a d*')
  })

  it('tells of every entry by which epoch it was chosen', () => {
    const later = new Placement(ringOf('abcdeabc'), 41)
    for (const down of ['', 'a', 'b']) {
      expect(later.active(0, 3, up(down)).map(({ epoch }) => epoch)).toEqual([41, 41, 41])
    }
    expect(placement.epoch).toBe(0)
    for (const epoch of [-1, 0.5, Number.NaN])
      expect(() => new Placement(ringOf('aaaaaaaa'), epoch)).toThrow(RangeError)
  })

  it('is empty when all are down', () => {
    expect(placement.active(0, 3, () => false)).toEqual([])
  })

  it('prefers a fallback in a zone that has no replica up', () => {
    const zones = new Map(
      [...'abcdef'].map((node) => [node, { a: 'x', b: 'y', c: 'x', d: 'x', e: 'z', f: 'y' }[node]!]),
    )
    const zoned = new Placement(ringOf('abcdefab', zones))
    expect(show(zoned.primaries(0, 3))).toBe('a b e')
    expect(show(zoned.active(0, 3, up('b')))).toBe('a e f*')
    expect(show(zoned.active(0, 3, up('e')))).toBe('a b c*')
    expect(show(zoned.active(0, 3, up('a', 'e')))).toBe('b c* d*')
  })

  it('keeps its promises in every ring, whoever is down', () => {
    const anyDown = fc.subarray(['n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6'])
    fc.assert(
      fc.property(anyRing, anyN, anyDown, (ring, n, down) => {
        const all = new Placement(ring)
        const isUp = up(...down)
        const nodes = new Set(ring.owners)
        for (let slice = 0; slice < ring.partitions; slice++) {
          const primaries = all.primaries(slice, n)
          const list = all.active(slice, n, isUp)
          const alive = primaries.filter((entry) => isUp(entry.node))
          const fallbacks = list.slice(alive.length)
          const spare = [...nodes].filter(
            (node) => isUp(node) && !primaries.some((entry) => entry.node === node),
          )
          expect(list.slice(0, alive.length)).toEqual(alive)
          expect(new Set(list.map((entry) => entry.node)).size).toBe(list.length)
          expect(fallbacks.length).toBe(Math.min(primaries.length - alive.length, spare.length))
          expect(fallbacks.every((entry) => spare.includes(entry.node) && entry.role === 'fallback')).toBe(
            true,
          )
          expect(list.every((entry) => entry.partition === slice)).toBe(true)
        }
      }),
    )
  })
})

describe('a table of replicas', () => {
  const ring = ringOf('abcdabcd')
  const table = replicaTable(ring, 3).map((list, partition) => (partition === 2 ? ['e', 'd', 'a'] : list))

  it('is what the ring makes of itself', () => {
    expect(replicaTable(ring, 3)[6]).toEqual(['c', 'd', 'a'])
    expect(replicaTable(ringOf('abababab'), 3)[1]).toEqual(['b', 'a'])
    fc.assert(
      fc.property(anyRing, anyN, (any, n) => {
        const [given, made] = [new Placement(any, 0, { table: replicaTable(any, n) }), new Placement(any)]
        for (let partition = 0; partition < any.partitions; partition++) {
          expect(given.primaries(partition, n)).toEqual(made.primaries(partition, n))
        }
      }),
      { numRuns: 30 },
    )
  })

  it('goes before the ring, which says who stands in', () => {
    const placement = new Placement(ring, 7, { table })
    expect(show(placement.primaries(2, 3))).toBe('e d a')
    expect(show(placement.primaries(2, 2))).toBe('e d')
    expect(show(placement.primaries(2, 5))).toBe('e d a')
    expect(show(placement.active(2, 3, up('e')))).toBe('d a c*')
    expect(show(placement.active(2, 2, up('e')))).toBe('d a*')
    expect(placement.nodes(2)).toEqual(['e', 'd', 'a', 'c', 'b'])
    expect(placement.nodes(3)).toEqual(['d', 'a', 'b', 'c'])
  })

  it('says what a node holds', () => {
    const placement = new Placement(ring, 7, { table })
    expect(placement.partitionsOf('e', 3)).toEqual([2])
    expect(placement.partitionsOf('b', 3)).toEqual([0, 1, 3, 4, 5, 7])
    expect(placement.partitionsOf('b', 1)).toEqual([1, 5])
    expect(placement.partitionsOf('nobody', 3)).toEqual([])
  })

  it('has a list for each partition', () => {
    expect(() => new Placement(ring, 0, { table: table.slice(1) })).toThrow(
      /a list per partition \(8\), got 7/,
    )
  })
})
