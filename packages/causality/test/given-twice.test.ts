import { describe, expect, it } from 'vitest'
import {
  givenTwice,
  type MergePolicy,
  mergeRecords,
  recordsEqual,
  type Sibling,
  type StoredRecord,
  writesDigest,
} from '../src/index.ts'
import { ACTOR_A, ACTOR_B, siblingOf, textsOf } from './sample.ts'

const SIBLINGS: MergePolicy = { kind: 'siblings' }
const LATEST: MergePolicy = { kind: 'last-write-wins' }
const merge = (a: StoredRecord, b: StoredRecord, policy: MergePolicy = SIBLINGS) => mergeRecords(policy, a, b)

/** A record in which A has come to `last`, with these of its writes: the number of each is its counter. */
function ofA(last: number, ...writes: readonly (readonly [text: string, counter: number])[]): StoredRecord {
  return {
    clock: new Map([[ACTOR_A, last]]),
    siblings: writes.map(([text, counter]) => writeOf(text, counter)),
  }
}

function writeOf(text: string, counter: number, more: Partial<Sibling> = {}): Sibling {
  const writeId = new Uint8Array(16).fill(text.charCodeAt(0))
  return siblingOf(text, { dot: { actor: ACTOR_A, counter }, writeId, ...more })
}

describe('a dot that stands for two writes', () => {
  const one = ofA(7, ['one', 7])
  const other = ofA(7, ['two', 7])

  it('is seen, but not where both hold the same write', () => {
    expect(givenTwice(one, other)).toEqual([ACTOR_A])
    expect(givenTwice(one, structuredClone(one))).toEqual([])
    expect(givenTwice(one, ofA(8, ['two', 8]))).toEqual([])
    expect(recordsEqual(one, other)).toBe(false)
    expect(writesDigest(one)).not.toEqual(writesDigest(other))
  })

  it('loses neither of them, and all replicas find the same', () => {
    const both = merge(one, other)
    expect(textsOf(both).sort()).toEqual(['one', 'two'])
    expect(merge(other, one)).toEqual(both)
    for (const known of [one, other, both]) {
      expect(merge(both, structuredClone(known))).toBe(both)
      expect(merge(structuredClone(known), both)).toEqual(both)
    }
  })

  it('proves nothing of the other writes of its actor', () => {
    const more = ofA(7, ['five', 5], ['one', 7])
    expect(textsOf(merge(more, other)).sort()).toEqual(['five', 'one', 'two'])
  })

  it('leaves the writes of others to the clocks', () => {
    const b = writeOf('b', 3, { dot: { actor: ACTOR_B, counter: 3 } })
    const behind: StoredRecord = {
      clock: new Map([...one.clock, [ACTOR_B, 3]]),
      siblings: [...one.siblings, b],
    }
    const replaced: StoredRecord = { ...other, clock: new Map([...other.clock, [ACTOR_B, 3]]) }
    expect(textsOf(merge(behind, replaced)).sort()).toEqual(['one', 'two'])
  })

  it('is replaced by who has seen both', () => {
    const both = merge(one, other)
    const last = writeOf('last', 1, { dot: { actor: ACTOR_B, counter: 1 } })
    const after: StoredRecord = { clock: new Map([...both.clock, [ACTOR_B, 1]]), siblings: [last] }
    for (const known of [one, other, both]) expect(textsOf(merge(after, known))).toEqual(['last'])
  })

  it('goes to the later write where only one is kept, and to the same one everywhere', () => {
    const late = { ...one, siblings: [writeOf('one', 7, { timestampMs: 1001 })] }
    expect(textsOf(merge(late, other, LATEST))).toEqual(['one'])
    expect(textsOf(merge(other, late, LATEST))).toEqual(['one'])
    expect(merge(one, other, LATEST)).toEqual(merge(other, one, LATEST))
  })
})
