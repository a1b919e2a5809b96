import { compareBytes, equalBytes } from '@atoll/core'
import { givenTwice, renameSiblings } from './given-twice.ts'
import { PackableRecord } from './packable-record.ts'
import type { MergePolicy } from './policy.ts'
import type { Sibling, StoredRecord } from './record.ts'
import { clocksEqual, compareDots, covers, mergeVectors } from './version-vector.ts'
import { compareWriteOnce, WRITE_ONCE_ACTOR } from './write-once.ts'

/**
 * What two replicas of a key know together: commutative, associative and idempotent. Answers `a` itself if `b` adds
 * nothing to it (and else `b`, if `a` adds nothing), so that a caller sees "unchanged" by identity.
 *
 * A sibling that only one side has is dropped if the other side's clock covers its dot, for then the other side saw
 * it replaced: Preguiça, Baquero et al., "Dotted Version Vectors", 2012. Every write is stamped later than all that
 * it replaces and, with last-write-wins, than all that its replica knows; so the largest stamp among all covered
 * events is always at hand, and picking the larger of two is associative.
 *
 * Where both hold other writes under one dot, an older copy of some data has given it again. Then neither clock says what
 * was replaced of that actor's events: all of its siblings are kept, under names of their own (`renameSiblings`).
 */
export function mergeRecords(policy: MergePolicy, a: StoredRecord, b: StoredRecord): StoredRecord {
  if (a === b) return a
  switch (policy.kind) {
    case 'write-once':
      return mergeWriteOnce(a, b)
    case 'last-write-wins':
      return joined(a, b, latest([...a.siblings, ...b.siblings]))
    case 'siblings':
    case 'merge': {
      const twice = givenTwice(a, b)
      return twice.length === 0
        ? together(a, b)
        : together(renameSiblings(a, twice), renameSiblings(b, twice))
    }
  }
}

/** True if both hold the same events: the same clock and the same siblings. */
export function recordsEqual(a: StoredRecord, b: StoredRecord): boolean {
  if (a === b || PackableRecord.haveOneHead(a, b)) return true
  return clocksEqual(a.clock, b.clock) && sameSiblings(a.siblings, b.siblings)
}

/** Which of two writes wins where only one may: the greater (timestamp, actor, counter, write) is the later. */
function compareWrites(a: Sibling, b: Sibling): number {
  if (a.timestampMs !== b.timestampMs) return a.timestampMs - b.timestampMs
  return compareDots(a.dot, b.dot) || compareBytes(a.writeId, b.writeId)
}

/** The last write of these alone; nothing of nothing. */
export function latest(siblings: readonly Sibling[]): readonly Sibling[] {
  const [first, ...others] = siblings
  if (first === undefined) return []
  return [others.reduce((best, other) => (compareWrites(other, best) > 0 ? other : best), first)]
}

function together(a: StoredRecord, b: StoredRecord): StoredRecord {
  return joined(a, b, unreplaced(a, b))
}

function unreplaced(a: StoredRecord, b: StoredRecord): readonly Sibling[] {
  const fromA = a.siblings.filter((sibling) => !covers(b.clock, sibling.dot) || holds(b, sibling))
  const fromB = b.siblings.filter((sibling) => !covers(a.clock, sibling.dot))
  return fromB.length === 0 ? fromA : [...fromA, ...fromB].sort((x, y) => compareDots(x.dot, y.dot))
}

function holds(record: StoredRecord, sibling: Sibling): boolean {
  return record.siblings.some((other) => compareDots(other.dot, sibling.dot) === 0)
}

function joined(a: StoredRecord, b: StoredRecord, siblings: readonly Sibling[]): StoredRecord {
  const record = new PackableRecord(mergeVectors(a.clock, b.clock), siblings)
  if (recordsEqual(record, a)) return a
  return recordsEqual(record, b) ? b : record
}

function mergeWriteOnce(a: StoredRecord, b: StoredRecord): StoredRecord {
  const [ofA] = a.siblings
  const [ofB] = b.siblings
  if (ofA === undefined || ofB === undefined) return ofB === undefined ? a : b
  return compareWriteOnce(ofA, ofB) <= 0 ? a : b
}

function sameSiblings(a: readonly Sibling[], b: readonly Sibling[]): boolean {
  return (
    a.length === b.length &&
    a.every((sibling, at) => {
      const other = b[at]
      return other !== undefined && sameSibling(sibling, other)
    })
  )
}

/** A dot names one write and only one, but for the dot that all write-once writes share, and one that was given twice. */
function sameSibling(a: Sibling, b: Sibling): boolean {
  if (compareDots(a.dot, b.dot) !== 0) return false
  return a.dot.actor === WRITE_ONCE_ACTOR ? compareWriteOnce(a, b) === 0 : equalBytes(a.writeId, b.writeId)
}
