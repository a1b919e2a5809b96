import { fromUtf8, utf8 } from '@atoll/core'
import { describe, expect, test } from 'vitest'
import type { ReplicaScanEntry } from '../src/index.ts'
import type { Cover } from '../src/scan-cover.ts'
import { type ScanEffect, ScanMachine } from '../src/scan-machine.ts'

/** Two nodes that both answer for the one slice. */
const cover = (...nodes: string[]): Cover => ({
  epoch: 0,
  nodes: nodes.map((node) => ({ node, vnodes: [{ partition: 0, role: 'primary', slices: [0] }], slices: 1 })),
  bySlice: [nodes.map((_, at) => at)],
})

/** "a b! c" are entries of the terms a, b and c, of which b has another digest. */
function page(terms: string, done = false) {
  const entries = terms
    .split(' ')
    .filter((term) => term !== '')
    .map((text): ReplicaScanEntry => {
      const [term = '', ...marks] = text
      const clockDigest = Uint8Array.of(marks.length)
      const place = { term: utf8(term), bucket: utf8('b'), key: utf8(term) }
      return { ...place, slice: 0, clockDigest, payloads: [utf8(text)] }
    })
  return { entries, done }
}

function tell(effect: ScanEffect): string {
  switch (effect.kind) {
    case 'fetch': {
      const after = effect.after === undefined ? '' : ` after ${fromUtf8(effect.after.term)}`
      return `fetch ${effect.limit} of ${effect.cover.nodes[effect.at]?.node}${after}`
    }
    case 'read':
      return `read ${fromUtf8(effect.position.term)}`
    case 'search':
      return `search ${fromUtf8(effect.group)} after ${fromUtf8(effect.after.term)}`
    case 'replan':
      return `replan without ${effect.lost}`
    case 'page': {
      const next = effect.next === undefined ? 'end' : `next ${fromUtf8(effect.next.term)}`
      return `page ${effect.entries.flatMap(({ payloads }) => payloads.map(fromUtf8)).join(' ')} ${next}`
    }
  }
}

const machineOf = (limit: number, maxReads = 2) =>
  new ScanMachine({ after: undefined, limit, groups: undefined, maxReads })

describe('a page', () => {
  test('is merged from what all replicas agree on', () => {
    const machine = machineOf(2)
    const both = cover('n1', 'n2')
    expect(machine.step({ kind: 'cover', cover: both }).map(tell)).toEqual(['fetch 2 of n1', 'fetch 2 of n2'])
    expect(machine.step({ kind: 'fetched', cover: both, at: 0, page: page('a b c') })).toEqual([])
    expect(machine.step({ kind: 'fetched', cover: both, at: 1, page: page('a b c') }).map(tell)).toEqual([
      'page a b next b',
    ])
    expect(machine.step({ kind: 'fetched', cover: both, at: 1, page: page('d') })).toEqual([])
  })

  test('reads the keys about which they differ, keeps the order, and drops what is gone', () => {
    const machine = machineOf(3)
    const both = cover('n1', 'n2')
    machine.step({ kind: 'cover', cover: both })
    machine.step({ kind: 'fetched', cover: both, at: 0, page: page('a b c d', true) })
    const reads = machine.step({ kind: 'fetched', cover: both, at: 1, page: page('a! c d', true) })
    expect(reads.map(tell)).toEqual(['read a', 'read b'])
    expect(machine.step({ kind: 'read', slot: 1, payloads: [] }).map(tell)).toEqual([])
    expect(machine.step({ kind: 'read', slot: 0, payloads: [utf8('A')] }).map(tell)).toEqual([
      'page A c d end',
    ])
  })

  test('waits for reads when there are as many as allowed', () => {
    const machine = machineOf(5, 1)
    const both = cover('n1', 'n2')
    machine.step({ kind: 'cover', cover: both })
    machine.step({ kind: 'fetched', cover: both, at: 0, page: page('a b', true) })
    expect(machine.step({ kind: 'fetched', cover: both, at: 1, page: page('', true) }).map(tell)).toEqual([
      'read a',
    ])
    expect(machine.step({ kind: 'read', slot: 0, payloads: [] }).map(tell)).toEqual(['read b'])
    expect(machine.step({ kind: 'read', slot: 1, payloads: [utf8('B')] }).map(tell)).toEqual(['page B end'])
  })

  test('asks a node again that has run out before the page is full', () => {
    const machine = machineOf(40)
    const one = cover('n1')
    machine.step({ kind: 'cover', cover: one })
    expect(machine.step({ kind: 'fetched', cover: one, at: 0, page: page('a b') }).map(tell)).toEqual([
      'fetch 38 of n1 after b',
    ])
    expect(machine.step({ kind: 'fetched', cover: one, at: 0, page: page('c', true) }).map(tell)).toEqual([
      'page a b c end',
    ])
  })

  test('asks for as many more as there were gone: as likely as not there are more of them', () => {
    const machine = machineOf(2, 8)
    const both = cover('n1', 'n2')
    machine.step({ kind: 'cover', cover: both })
    machine.step({ kind: 'fetched', cover: both, at: 0, page: page('a b') })
    machine.step({ kind: 'fetched', cover: both, at: 1, page: page('', true) })
    const more = machine.step({ kind: 'read', slot: 0, payloads: [] })
    expect(more.map(tell)).toEqual(['fetch 2 of n1 after b'])
    machine.step({ kind: 'read', slot: 1, payloads: [] })
    machine.step({ kind: 'fetched', cover: both, at: 0, page: page('c d') })
    const most = machine.step({ kind: 'read', slot: 2, payloads: [] })
    expect(most.map(tell)).toEqual(['fetch 4 of n1 after d'])
  })

  test('goes on from what was merged when a node fails, and no longer hears the old cover', () => {
    const machine = machineOf(10)
    const both = cover('n1', 'n2')
    machine.step({ kind: 'cover', cover: both })
    machine.step({ kind: 'fetched', cover: both, at: 0, page: page('a b c') })
    expect(machine.step({ kind: 'fetched', cover: both, at: 1, page: page('a b') }).map(tell)).toEqual([
      'fetch 8 of n2 after b',
    ])
    expect(machine.step({ kind: 'failed', cover: both, at: 1 }).map(tell)).toEqual(['replan without n2'])
    const other = cover('n1', 'n3')
    expect(machine.step({ kind: 'cover', cover: other }).map(tell)).toEqual([
      'fetch 8 of n1 after b',
      'fetch 8 of n3 after b',
    ])
    expect(machine.step({ kind: 'fetched', cover: both, at: 1, page: page('x', true) })).toEqual([])
    machine.step({ kind: 'fetched', cover: other, at: 0, page: page('c', true) })
    expect(machine.step({ kind: 'fetched', cover: other, at: 1, page: page('c', true) }).map(tell)).toEqual([
      'page a b c end',
    ])
  })

  test('replaces a node that answers with nothing and is not done', () => {
    const machine = machineOf(10)
    const one = cover('n1')
    machine.step({ kind: 'cover', cover: one })
    expect(machine.step({ kind: 'fetched', cover: one, at: 0, page: page('') }).map(tell)).toEqual([
      'replan without n1',
    ])
  })

  test('of nothing but stale entries ends early, and is gone on with', () => {
    const machine = machineOf(5000, 5000)
    const both = cover('n1', 'n2')
    machine.step({ kind: 'cover', cover: both })
    const many = Array.from({ length: 1500 }, (_, at) => String.fromCodePoint(0x4e00 + at))
    machine.step({ kind: 'fetched', cover: both, at: 0, page: page(many.join(' ')) })
    const reads = machine.step({ kind: 'fetched', cover: both, at: 1, page: page('', true) })
    const told = reads
      .filter((effect) => effect.kind === 'read')
      .flatMap(({ slot }) => machine.step({ kind: 'read', slot, payloads: [] }))
    expect(told.at(-1)).toMatchObject({ kind: 'page', entries: [], next: { term: utf8(many.at(-1) ?? '') } })
  })
})
