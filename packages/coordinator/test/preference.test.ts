import { createRing, Placement } from '@atoll/ring'
import { expect, test } from 'vitest'
import { Latency } from '../src/latency.ts'
import { activeList, furtherFallbacks, nearestFirst, type SliceView, spareFor } from '../src/preference.ts'

const NAMES = ['n0', 'n1', 'n2', 'n3', 'n4', 'n5', 'n6', 'n7']

function viewOf({ down = [] as string[], zones = new Map<string, string>() } = {}): SliceView {
  const placement = new Placement(createRing({ partitions: 8, owners: NAMES, zones }), 7)
  return { placement, slice: 0, n: 3, isUp: (node) => !down.includes(node) }
}

test('a strict list has primaries only', () => {
  const view = viewOf({ down: ['n1'] })
  expect(activeList(view, true).map(({ node }) => node)).toEqual(['n0', 'n2', 'n3'])
  expect(activeList(view, false).map(({ node }) => node)).toEqual(['n0', 'n2'])
})

test('the spare of a dead node is the fallback that others choose once they know', () => {
  // n3 is next, but shares a zone with n0, so that n4 goes first.
  const zones = new Map([
    ['n0', 'a'],
    ['n1', 'b'],
    ['n2', 'c'],
    ['n3', 'a'],
    ['n4', 'b'],
  ])
  const view = viewOf({ zones })
  for (const dead of ['n0', 'n1', 'n2']) {
    const list = activeList(view, true)
    const tried = new Set(list.map(({ node }) => node))
    const spare = spareFor(view, { unable: new Set([dead]), tried })
    const later = activeList(viewOf({ zones, down: [dead] }), true).find(({ role }) => role === 'fallback')
    expect(spare).toEqual(later)
  }
})

test('a spare is up and was not tried; where none is left there is none', () => {
  const view = viewOf({ down: ['n3'] })
  const unable = new Set(['n0'])
  const spareAfter = (...tried: string[]) => spareFor(view, { unable, tried: new Set(tried) })
  expect(spareAfter('n0', 'n1', 'n2')).toEqual({ partition: 0, node: 'n4', role: 'fallback', epoch: 7 })
  expect(spareAfter('n0', 'n1', 'n2', 'n4')).toEqual({ partition: 0, node: 'n5', role: 'fallback', epoch: 7 })
  expect(spareAfter(...NAMES)).toBeUndefined()
})

test('further fallbacks are asked where any are lost', () => {
  const view = viewOf({ down: ['n1'] })
  const targets = activeList(view, true)
  const lost = targets.filter(({ role }) => role === 'fallback')
  expect(furtherFallbacks(view, targets, lost).map(({ node, partition }) => `${node}/${partition}`)).toEqual([
    'n4/0',
    'n5/0',
    'n6/0',
  ])
  expect(furtherFallbacks(view, targets, [])).toEqual([])
})

test('nearest is local, then the quickest primary, then the fallbacks', () => {
  const latency = new Latency({ hedgeStartMs: 50, hedgeMinMs: 2, hedgeMaxMs: 1000 })
  latency.answered('n0', 9, 0)
  latency.answered('n2', 4, 0)
  const targets = activeList(viewOf({ down: ['n1'] }), true)
  const order = (local: string) => nearestFirst(targets, { local, latency, nowMs: 1 }).map(({ node }) => node)
  expect(order('n7')).toEqual(['n2', 'n0', 'n3'])
  expect(order('n3')).toEqual(['n3', 'n2', 'n0'])
})
