import { concatBytes, fromUtf8, utf8 } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import { type MergePolicy, type Resolved, resolve, type Sibling, type StoredRecord } from '../src/index.ts'
import { ACTOR_A, ACTOR_B, siblingOf, sumOf, writeIdOf } from './sample.ts'

const SIBLINGS: MergePolicy = { kind: 'siblings' }
const LAST: MergePolicy = { kind: 'last-write-wins' }
const JOIN: MergePolicy = {
  kind: 'merge',
  name: 'join',
  merge: (siblings) => concatBytes(siblings.map(({ value }) => value)),
}
const means = { wallMs: 2000, crc32: sumOf }

function recordOf(...siblings: readonly Partial<Sibling>[]): StoredRecord {
  const numbered = siblings.map((sibling, at) =>
    siblingOf(`v${at + 1}`, { dot: { actor: ACTOR_A, counter: at + 1 }, writeId: writeIdOf(at), ...sibling }),
  )
  const clock = new Map([
    [ACTOR_A, siblings.length],
    [ACTOR_B, 3],
  ])
  return { clock, siblings: numbered }
}

const textsIn = (resolved: Resolved) => resolved.values.map(({ value }) => fromUtf8(value))

describe('what a reader sees', () => {
  it('is every sibling, or the last, or one value made from all', () => {
    const record = recordOf({ timestampMs: 9 }, { timestampMs: 7 })
    expect(textsIn(resolve(SIBLINGS, record, means))).toEqual(['v1', 'v2'])
    expect(textsIn(resolve(LAST, record, means))).toEqual(['v1'])
    expect(textsIn(resolve(JOIN, record, means))).toEqual(['v1v2'])
  })

  it('has the checksum of a merged value and the metadata of the last write', () => {
    const record = recordOf({ timestampMs: 9, metadata: new Map([['from', 'first']]) }, { timestampMs: 7 })
    const [value] = resolve(JOIN, record, means).values
    expect(value?.valueCrc32).toBe(sumOf(utf8('v1v2')))
    expect(value?.metadata.get('from')).toBe('first')
  })

  it('is a lone value as it was written, without asking the merge function', () => {
    const never: MergePolicy = { kind: 'merge', name: 'never', merge: () => utf8('merged') }
    expect(textsIn(resolve(never, recordOf({}, { tombstone: true }), means))).toEqual(['v1'])
  })

  it('leaves out tombstones and what is expired', () => {
    const record = recordOf({ expiresAtMs: 2000 }, { tombstone: true }, { expiresAtMs: 2001 })
    expect(textsIn(resolve(SIBLINGS, record, means))).toEqual(['v3'])
  })

  it('is nothing if the last write has expired or is a tombstone, however alive the one before', () => {
    const expired = recordOf({ timestampMs: 1 }, { timestampMs: 2, expiresAtMs: 1999 })
    const deleted = recordOf({ timestampMs: 1 }, { timestampMs: 2, tombstone: true })
    expect(resolve(LAST, expired, means)).toMatchObject({ values: [], tombstone: false })
    expect(resolve(LAST, deleted, means)).toMatchObject({ values: [], tombstone: true })
  })

  it('shows a write once that was coordinated twice', () => {
    const again = { writeId: writeIdOf(0), value: utf8('v1') }
    expect(textsIn(resolve(SIBLINGS, recordOf({}, again), means))).toEqual(['v1'])
    expect(textsIn(resolve(JOIN, recordOf({}, again), means))).toEqual(['v1'])
  })

  it('comes with a context that covers what was left out too', () => {
    const record = recordOf({ timestampMs: 50, tombstone: true }, { timestampMs: 40 })
    const { context, tombstone } = resolve(SIBLINGS, record, means)
    expect(context).toEqual({ vector: record.clock, timestampMs: 50 })
    expect(tombstone).toBe(false)
  })

  it('lets the error of a merge function through', () => {
    const failing: MergePolicy = {
      kind: 'merge',
      name: 'failing',
      merge: () => {
        throw new Error('no')
      },
    }
    expect(() => resolve(failing, recordOf({}, {}), means)).toThrow('no')
  })
})
