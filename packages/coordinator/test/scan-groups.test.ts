import { compareBytes, fromUtf8, startsWithBytes, type TermGroups, utf8 } from '@atoll/core'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { IndexPosition, ReplicaScanEntry, ReplicaScanPage } from '../src/index.ts'
import type { Cover } from '../src/scan-cover.ts'
import { type ScanEffect, type ScanEvent, ScanMachine } from '../src/scan-machine.ts'
import { firstsOf } from './fake-replicas.ts'

/** Three nodes and three slices, each of which two nodes answer for. */
const SLICES = [
  [0, 1],
  [1, 2],
  [2, 0],
]
const NAMES = ['n0', 'n1', 'n2']

const createCover = (): Cover => ({
  epoch: 1,
  nodes: NAMES.map((node) => ({ node, vnodes: [], slices: 2 })),
  bySlice: SLICES,
})

/**
 * Where a term lies, and which of the two replicas of its slice have it. Whoever lacks what is there, or has what is
 * gone, is behind.
 */
interface Filed {
  readonly name: string
  readonly slice: number
  readonly isThere: boolean
  readonly held: 'both' | 'first' | 'second'
}

const placeOf = (name: string): IndexPosition => ({ term: utf8(name), bucket: utf8('b'), key: utf8(name) })
const compare = (a: IndexPosition, b: IndexPosition) =>
  compareBytes(a.term, b.term) || compareBytes(a.bucket, b.bucket) || compareBytes(a.key, b.key)

/** A node of three that brings pages of at most `pageLimit` entries. One of before knows nothing of groups. */
class DumbNode {
  fetched = 0
  scans = 0
  readonly #entries: readonly ReplicaScanEntry[]
  readonly #pageLimit: number
  readonly #knowsGroups: boolean

  constructor(
    at: number,
    filed: readonly Filed[],
    options: { readonly pageLimit: number; readonly knowsGroups: boolean },
  ) {
    this.#pageLimit = options.pageLimit
    this.#knowsGroups = options.knowsGroups
    this.#entries = filed
      .filter(({ slice, held }) => {
        const [first, second] = SLICES[slice] ?? []
        return (at === first && held !== 'second') || (at === second && held !== 'first')
      })
      .map(({ name, slice, isThere, held }) => {
        // Both may have it and differ: then it is not what one of them has.
        const clockDigest = Uint8Array.of(!isThere && held === 'both' ? at : 9)
        return { ...placeOf(name), slice, clockDigest, payloads: [utf8(name)] }
      })
      .sort(compare)
  }

  page(
    { after, limit, groups }: Extract<ScanEffect, { kind: 'fetch' }>,
    within: Uint8Array | undefined,
  ): ReplicaScanPage {
    const all = within ? this.#entries.filter(({ term }) => startsWithBytes(term, within)) : this.#entries
    const rest = all.filter((entry) => after === undefined || compare(entry, after) > 0)
    const shown = this.#knowsGroups && groups ? firstsOf(rest, groups) : rest
    const entries = shown.slice(0, Math.min(limit, this.#pageLimit))
    this.fetched += entries.length
    this.scans += 1
    return { entries, done: entries.length === shown.length }
  }
}

interface Run {
  readonly filed: readonly Filed[]
  readonly nodes: readonly DumbNode[]
  /** Undefined for the search of a group, which is all that is scanned then. */
  readonly groups: TermGroups | undefined
  readonly within?: Uint8Array
  readonly limit: number
  /** Every so many replies a node is lost. */
  readonly losing: number
  /** Keys that were read. */
  readonly counts?: { reads: number }
}

const MAX_READS = 3

/** One page; the order of replies is the order of questions. */
function runPage(run: Run, after: IndexPosition | undefined): Extract<ScanEffect, { kind: 'page' }> {
  const { filed, nodes, groups, within, limit, losing, counts = { reads: 0 } } = run
  const machine = new ScanMachine({ after, limit, groups, maxReads: MAX_READS })
  const there = new Set(filed.filter(({ isThere }) => isThere).map(({ name }) => name))
  const events: ScanEvent[] = [{ kind: 'cover', cover: createCover() }]
  for (let step = 1; step < 10_000; step++) {
    const event = events.shift()
    if (event === undefined) throw new Error('the machine waits for nothing')
    for (const effect of machine.step(event)) {
      if (effect.kind === 'page') return effect
      if (effect.kind === 'replan') events.push({ kind: 'cover', cover: createCover() })
      if (effect.kind === 'read') {
        counts.reads += 1
        const name = fromUtf8(effect.position.term)
        events.push({ kind: 'read', slot: effect.slot, payloads: there.has(name) ? [utf8(name)] : [] })
      }
      if (effect.kind === 'search') {
        const { slot, group } = effect
        const found = runPage({ ...run, groups: undefined, within: group, limit: 2 }, effect.after)
        events.push({ kind: 'searched', slot, entry: found.entries[0], next: found.next, gone: found.gone })
      }
      if (effect.kind !== 'fetch') continue
      const { cover, at } = effect
      const node = nodes[at]
      if (node === undefined) throw new Error('no such node')
      if (losing > 0 && step % losing === 0) events.push({ kind: 'failed', cover, at })
      else events.push({ kind: 'fetched', cover, at, page: node.page(effect, within) })
    }
  }
  throw new Error('the machine does not end')
}

function runAll(run: Run): string[] {
  const found: string[] = []
  let after: IndexPosition | undefined
  for (let page = 0; page < 1000; page++) {
    const { entries, next } = runPage(run, after)
    found.push(...entries.map(({ term }) => fromUtf8(term)))
    if (next === undefined) return found
    expect(after === undefined || compare(next, after) > 0).toBe(true)
    after = next
  }
  throw new Error('the pages do not end')
}

function expected(filed: readonly Filed[], groups: TermGroups): string[] {
  const there = filed.filter(({ isThere }) => isThere).map(({ name }) => placeOf(name))
  return firstsOf(there.sort(compare), groups).map(({ term }) => fromUtf8(term))
}

const name = fc.string({ unit: fc.constantFrom('a', 'b', '/', '\0', 'ÿ'), minLength: 1, maxLength: 5 })

test('of each group the first that is there, whatever replicas lack, know or lose, page by page', () => {
  const filed = fc.uniqueArray(
    fc.record({
      name,
      slice: fc.integer({ min: 0, max: 2 }),
      isThere: fc.boolean(),
      held: fc.constantFrom<Filed['held'][]>('both', 'first', 'second'),
    }),
    { selector: (one) => one.name, maxLength: 40 },
  )
  const shape = fc.record({
    limit: fc.integer({ min: 1, max: 6 }),
    pageLimit: fc.constantFrom(1, 2, 100),
    knowing: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
    losing: fc.constantFrom(0, 0, 7),
    prefix: fc.constantFrom('', 'a', '/'),
    delimiter: fc.constantFrom('/', 'a', '/a'),
  })
  fc.assert(
    fc.property(filed, shape, (all, { limit, pageLimit, knowing, losing, prefix, delimiter }) => {
      const nodes = knowing.map((knowsGroups, at) => new DumbNode(at, all, { pageLimit, knowsGroups }))
      const groups = { prefix: utf8(prefix), delimiter: utf8(delimiter) }
      expect(runAll({ filed: all, nodes, groups, limit, losing })).toEqual(expected(all, groups))
    }),
    { numRuns: 500 },
  )
})

test('a page of a thousand groups costs two scans of a node and hardly more entries than it shows', () => {
  const filed = Array.from({ length: 20_000 }, (_, at): Filed => {
    const text = String(at).padStart(5, '0')
    return { name: `${text.slice(0, 4)}/${text}`, slice: at % 3, isThere: true, held: 'both' }
  })
  const nodes = NAMES.map((_, at) => new DumbNode(at, filed, { pageLimit: 10_000, knowsGroups: true }))
  const groups = { prefix: utf8(''), delimiter: utf8('/') }
  const page = runPage({ filed, nodes, groups, limit: 1000, losing: 0 }, undefined)
  expect(page.entries.length).toBe(1000)
  expect(page.next?.term).toEqual(utf8('09990'))
  for (const node of nodes) {
    expect(node.scans).toBeLessThanOrEqual(2)
    expect(node.fetched).toBeLessThanOrEqual(1500)
  }
})

test('groups that begin with what is gone are searched, and the nodes are not asked anew for those behind', () => {
  const filed = Array.from({ length: 3000 }, (_, at): Filed => {
    const isThere = at % 3 !== 0
    const folder = String(Math.floor(at / 3)).padStart(4, '0')
    return { name: `${folder}/${at % 3}`, slice: at % 3, isThere, held: isThere ? 'both' : 'first' }
  })
  const nodes = NAMES.map((_, at) => new DumbNode(at, filed, { pageLimit: 10_000, knowsGroups: true }))
  const groups = { prefix: utf8(''), delimiter: utf8('/') }
  const page = runPage({ filed, nodes, groups, limit: 1000, losing: 0 }, undefined)
  expect(page.entries.map(({ term }) => fromUtf8(term).slice(-2))).toEqual(Array(1000).fill('/1'))
  // One scan of each node for each search, besides those of the page itself.
  for (const node of nodes) expect(node.scans).toBeLessThanOrEqual(1000 + 2)
})

/** Of folders with so many entries each that are gone, at one replica of two, before the only one that is there. */
function staleFolders(folders: number, stale: number): Filed[] {
  return Array.from({ length: folders }, (_, folder) =>
    Array.from({ length: stale + 1 }, (__, at): Filed => {
      const isThere = at === stale
      const name = `${String(folder).padStart(4, '0')}/${String(at).padStart(6, '0')}`
      return { name, slice: at % 3, isThere, held: isThere ? 'both' : 'first' }
    }),
  ).flat()
}

test.each([
  { folders: 2, stale: 3000 },
  { folders: 40, stale: 150 },
])('where $folders groups begin with $stale entries that are gone, pages end early', ({ folders, stale }) => {
  const filed = staleFolders(folders, stale)
  const nodes = NAMES.map((_, at) => new DumbNode(at, filed, { pageLimit: 10_000, knowsGroups: true }))
  const groups = { prefix: utf8(''), delimiter: utf8('/') }
  const counts = { reads: 0 }
  const run = { filed, nodes, groups, limit: 100, losing: 0, counts }
  const first = runPage(run, undefined)
  // A thousand in all, and for each group that is searched at that time a thousand at most.
  expect(counts.reads).toBeLessThanOrEqual(1000 * (1 + MAX_READS))
  expect(first.next).toBeDefined()
  expect(runAll(run)).toEqual(expected(filed, groups))
})

test('a group behind which there can be nothing is the end', () => {
  const groups = { prefix: Uint8Array.of(), delimiter: Uint8Array.of(0xff) }
  const machine = new ScanMachine({ after: undefined, limit: 5, groups, maxReads: 1 })
  const cover: Cover = { epoch: 1, nodes: [{ node: 'n0', vnodes: [], slices: 1 }], bySlice: [[0]] }
  machine.step({ kind: 'cover', cover })
  const entry = (term: Uint8Array) => ({
    ...placeOf('k'),
    term,
    slice: 0,
    clockDigest: Uint8Array.of(1),
    payloads: [],
  })
  const entries = [entry(Uint8Array.of(0xff)), entry(Uint8Array.of(0xff, 1))]
  const [page] = machine.step({ kind: 'fetched', cover, at: 0, page: { entries, done: false } })
  expect(page).toMatchObject({ kind: 'page', next: undefined, entries: [{ term: Uint8Array.of(0xff) }] })
})
