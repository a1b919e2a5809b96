import { createWorld } from '@atoll/sim'
import { expect, test } from 'vitest'
import {
  DIGEST_BYTES,
  type Digested,
  forkOf,
  historyAfter,
  historyFrom,
  MAX_HISTORY,
} from '../src/history.ts'
import { type ClusterDocument, encodeDocument, setBucketType, withHistory } from '../src/index.ts'
import { clusterOf } from './kit.ts'

const { digest } = createWorld({ seed: 1 }).runtime('n1')

const digested = (document: ClusterDocument): Digested => ({
  document,
  digest: digest.sha1(encodeDocument(document)),
})

/** The document after another one, with something in it that tells it from what others make of that. */
function after(before: Digested, what: string): Digested {
  const { document } = before
  const bytes = new TextEncoder().encode(what)
  const edited = setBucketType(document, { name: 't', bytes, n: 3 })
  const next = { ...edited, epoch: document.epoch + 1 }
  return digested({ ...next, history: historyAfter(before, next) })
}

function line(from: Digested, length: number, branch: string): readonly Digested[] {
  const all = [from]
  for (let at = 0; at < length; at++) all.push(after(all[all.length - 1]!, `${branch} ${at}`))
  return all
}

function forced(before: Digested, epoch: number, by: string): Digested {
  const record = { epoch, by, atMs: 1, missing: [], reason: 'fire' }
  const history = historyFrom(epoch)
  return digested({ ...before.document, epoch, forced: [...before.document.forced, record], history })
}

const FIRST = digested(withHistory(clusterOf(['n1', 'n2', 'n3'])))

test('documents of one line are no fork, however far apart', () => {
  const one = line(FIRST, MAX_HISTORY + 20, 'a')
  for (const at of [0, 1, 7, 20, 21, MAX_HISTORY, one.length - 1])
    expect(forkOf(one[at]!, one[one.length - 1]!)).toBeUndefined()
  const { history } = one[one.length - 1]!.document
  expect(history?.digests).toHaveLength(MAX_HISTORY * DIGEST_BYTES)
  expect(history?.first).toBe(one[one.length - 1]!.document.epoch - MAX_HISTORY)
})

test('of two lines every pair tells the epoch in which they part, whoever is ahead', () => {
  const common = line(FIRST, 5, 'common')
  const stem = common[common.length - 1]!
  const [a, b] = [line(stem, 6, 'a'), line(stem, 9, 'b')]
  for (const one of a.slice(1)) {
    for (const other of b.slice(1)) {
      expect(forkOf(one, other)).toBe(stem.document.epoch + 1)
      expect(forkOf(other, one)).toBe(stem.document.epoch + 1)
    }
    for (const earlier of common) expect(forkOf(earlier, one)).toBeUndefined()
  }
})

test('a document without a history is held against one that has one, and two without by their own epoch alone', () => {
  const plain = digested({ ...FIRST.document, history: undefined })
  expect(historyAfter(plain, { ...plain.document, epoch: 2 })).toBeUndefined()
  const kept = after(plain, 'x')
  expect(kept.document.history).toBeUndefined()
  const other = after(plain, 'y')
  expect(forkOf(kept, other)).toBe(2)
  const upgraded = digested(withHistory({ ...kept.document, epoch: 3 }))
  const followed = digested({ ...upgraded.document, history: historyAfter(kept, upgraded.document) })
  expect(forkOf(kept, followed)).toBeUndefined()
  expect(forkOf(other, followed)).toBe(2)
})

test('what is forced past a document settles what it says, and what is forced at one epoch is no fork yet', () => {
  const [a, b] = [line(FIRST, 4, 'a'), line(FIRST, 7, 'b')].map((all) => all[all.length - 1]!)
  if (a === undefined || b === undefined) throw new Error('both lines have an end')
  expect(forkOf(a, b)).toBe(2)
  const settled = forced(a, 1_000_001, 'n1')
  expect(forkOf(b, settled)).toBeUndefined()
  expect(forkOf(after(settled, 'more'), b)).toBeUndefined()
  const rival = forced(b, 1_000_001, 'n2')
  expect(forkOf(settled, rival)).toBeUndefined()
  expect(forkOf(after(settled, 'more'), rival)).toBe(1_000_001)
  expect(forkOf(after(settled, 'more'), after(rival, 'more'))).toBe(1_000_001)
})
