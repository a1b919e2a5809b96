import { fromUtf8, utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { type IndexEntry, type Sibling, visibleIndexEntries } from '../src/index.ts'
import { ACTOR_A, siblingOf, writeIdOf } from './sample.ts'

const entry = (index: string, scope: string, term: string, payload: string): IndexEntry => ({
  index,
  scope: utf8(scope),
  term: utf8(term),
  payload: utf8(payload),
})

function entriesOf(...siblings: readonly Partial<Sibling>[]): string[] {
  const numbered = siblings.map((sibling, at) =>
    siblingOf('v', { dot: { actor: ACTOR_A, counter: at + 1 }, writeId: writeIdOf(at), ...sibling }),
  )
  const record = { clock: new Map([[ACTOR_A, siblings.length]]), siblings: numbered }
  return visibleIndexEntries(record).map(({ index, scope, term, payloads }) =>
    [index, fromUtf8(scope), fromUtf8(term), payloads.map(fromUtf8).join('+')].join('/'),
  )
}

describe('the index entries of a record', () => {
  it('are grouped by place, in the order of bytes, with the payloads of all siblings', () => {
    const first = [entry('list', 'b', 'z', '1'), entry('list', 'a', 'k', '2')]
    const second = [entry('list', 'b', 'z', '3'), entry('age', 'x', 'x', '4')]
    expect(entriesOf({ indexes: first }, { indexes: second })).toEqual([
      'age/x/x/4',
      'list/a/k/2',
      'list/b/z/1+3',
    ])
  })

  it('are not those of tombstones, nor twice those of one write', () => {
    const indexes = [entry('list', 'a', 'k', '1')]
    expect(entriesOf({ indexes, tombstone: true })).toEqual([])
    expect(entriesOf({ indexes }, { indexes, writeId: writeIdOf(0) })).toEqual(['list/a/k/1'])
  })

  it('keep scope and term apart', () => {
    const indexes = [entry('list', 'ab', 'c', '1'), entry('list', 'a', 'bc', '2')]
    expect(entriesOf({ indexes })).toEqual(['list/a/bc/2', 'list/ab/c/1'])
  })
})
