import { isAtollError } from '@atoll/core'
import { describe, expect, it } from 'vitest'
import {
  type CausalContext,
  contextOf,
  MAX_SIBLINGS,
  type MergePolicy,
  mergeRecords,
  type StoredRecord,
  writeOnceRecord,
  writeRecord,
} from '../src/index.ts'
import { ACTOR_A, ACTOR_B, contentOf, sumOf, textsOf, writeIdOf } from './sample.ts'

const SIBLINGS: MergePolicy = { kind: 'siblings' }
const LAST: MergePolicy = { kind: 'last-write-wins' }

interface Put {
  readonly policy?: MergePolicy
  readonly on?: StoredRecord | undefined
  readonly context?: CausalContext
  readonly actor?: string
  readonly counter: number
  readonly wallMs?: number
  readonly writeId?: number
}

function put(
  text: string,
  { policy = SIBLINGS, on, context, actor = ACTOR_A, counter, ...more }: Put,
): StoredRecord {
  const content = contentOf(text)
  const writeId = writeIdOf(more.writeId ?? counter + (actor === ACTOR_A ? 0 : 1_000_000))
  const write = { content, valueCrc32: sumOf(content.value), writeId, context }
  return writeRecord({ policy, current: on, write, dot: { actor, counter }, wallMs: more.wallMs ?? 1000 })
}

describe('a write with siblings kept', () => {
  it('stands beside what it did not see', () => {
    const first = put('first', { counter: 1 })
    const both = put('second', { on: first, counter: 2 })
    expect(textsOf(both)).toEqual(['first', 'second'])
  })

  it('replaces what its context covers, and only that', () => {
    const first = put('first', { counter: 1 })
    const both = put('second', { on: first, counter: 2 })
    const third = put('third', { on: both, context: contextOf(first), counter: 3 })
    expect(textsOf(third)).toEqual(['second', 'third'])
    expect(textsOf(put('all', { on: third, context: contextOf(third), counter: 4 }))).toEqual(['all'])
  })

  it('replaces on other replicas what its client read there', () => {
    const here = put('here', { counter: 1 })
    const there = put('there', { actor: ACTOR_B, counter: 1 })
    const after = put('after', { on: here, context: contextOf(there), counter: 2 })
    expect(textsOf(after)).toEqual(['here', 'after'])
    expect(textsOf(mergeRecords(SIBLINGS, after, there))).toEqual(['here', 'after'])
  })

  it('changes nothing when it is a retry of one that is still there', () => {
    const first = put('first', { counter: 1, writeId: 7 })
    expect(put('first', { on: first, counter: 2, writeId: 7 })).toBe(first)
  })

  it('is refused when the key has as many siblings as may be, unless it replaces some', () => {
    let record = put('0', { counter: 1 })
    for (let counter = 2; counter <= MAX_SIBLINGS; counter++) record = put('more', { on: record, counter })
    expect(() => put('one too many', { on: record, counter: 1000 })).toThrow(
      expect.objectContaining({ code: 'ATOLL_OVERLOADED' }),
    )
    expect(textsOf(put('all', { on: record, context: contextOf(record), counter: 1000 }))).toEqual(['all'])
  })
})

describe('the last write', () => {
  it('replaces what is there, seen or not', () => {
    const first = put('first', { policy: LAST, counter: 1 })
    expect(textsOf(put('second', { policy: LAST, on: first, counter: 2 }))).toEqual(['second'])
  })

  it('is later than what it replaces even if its clock is behind', () => {
    const first = put('first', { policy: LAST, counter: 1, wallMs: 5000 })
    const second = put('second', { policy: LAST, on: first, counter: 2, wallMs: 10 })
    expect(second.siblings[0]?.timestampMs).toBe(5001)
    expect(textsOf(mergeRecords(LAST, first, second))).toEqual(['second'])
  })

  it('is later than what its client saw elsewhere', () => {
    const there = put('there', { policy: LAST, actor: ACTOR_B, counter: 1, wallMs: 5000 })
    const here = put('here', { policy: LAST, context: contextOf(there), counter: 1, wallMs: 10 })
    expect(textsOf(mergeRecords(LAST, there, here))).toEqual(['here'])
  })

  it('is decided by actor when two have the same time, whatever arrives first', () => {
    const a = put('a', { policy: LAST, counter: 9 })
    const b = put('b', { policy: LAST, actor: ACTOR_B, counter: 1 })
    expect(textsOf(mergeRecords(LAST, a, b))).toEqual(['b'])
    expect(textsOf(mergeRecords(LAST, b, a))).toEqual(['b'])
  })
})

describe('any write', () => {
  it('has whole milliseconds from 0 on, however broken the wall clock is', () => {
    const times = [-5, 12.9, Number.POSITIVE_INFINITY].map((wallMs) => put('x', { counter: 1, wallMs }))
    expect(times.map((record) => record.siblings[0]?.timestampMs)).toEqual([0, 12, 2 ** 52])
  })

  it('is refused with a context from the future', () => {
    const context = { vector: new Map([[ACTOR_A, 5]]), timestampMs: 0 }
    const attempt = () => put('x', { context, counter: 5 })
    expect(attempt).toThrow(expect.objectContaining({ code: 'ATOLL_CORRUPT', definite: true }))
  })

  it('fails without an AtollError if the vnode gives a dot twice', () => {
    const first = put('first', { counter: 1 })
    let thrown: unknown
    try {
      put('second', { on: first, counter: 1, writeId: 2 })
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(Error)
    expect(isAtollError(thrown)).toBe(false)
  })
})

describe('a write-once key', () => {
  const ONCE: MergePolicy = { kind: 'write-once' }

  it('holds one value, the same whatever came first', () => {
    const one = put('one', { policy: ONCE, counter: 1, writeId: 1 })
    const two = put('two', { policy: ONCE, counter: 1, writeId: 2 })
    const [a, b] = [
      put('two', { policy: ONCE, on: one, counter: 1, writeId: 2 }),
      mergeRecords(ONCE, two, one),
    ]
    expect(a).toEqual(b)
    expect(a.siblings).toHaveLength(1)
  })

  it('stays deleted', () => {
    const value = put('', { policy: ONCE, counter: 1, writeId: 1 })
    const deletion = {
      content: contentOf('', { tombstone: true }),
      valueCrc32: 0xffffffff,
      writeId: writeIdOf(9),
    }
    const dot = { actor: ACTOR_A, counter: 1 }
    const update = { policy: ONCE, write: { ...deletion, context: undefined }, dot, wallMs: 0 }
    const deleted = writeRecord({ ...update, current: value })
    expect(deleted.siblings[0]?.tombstone).toBe(true)
    expect(mergeRecords(ONCE, value, deleted)).toBe(deleted)
    expect(mergeRecords(ONCE, deleted, value)).toBe(deleted)
  })

  it('is the same record whoever has deleted it, so that replicas need not agree which of two deletions stays', () => {
    const content = contentOf('', { tombstone: true })
    const [one, two] = [1, 2].map((id) => writeOnceRecord(content, 0xffffffff, writeIdOf(id)))
    expect(one).toEqual(two)
    expect(one && two && mergeRecords(ONCE, one, two)).toBe(one)
  })
})
