import { compareBytes, equalBytes } from '@atoll/core'
import { givenTwice, renameSiblings } from './given-twice.ts'
import { PackableRecord } from './packable-record.ts'
import type { MergePolicy } from './policy.ts'
import {
  hasBytes,
  isWhole,
  type RecordHead,
  type RecordOf,
  type SiblingHead,
  type StoredRecord,
} from './record.ts'
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
export function mergeRecords<S extends SiblingHead>(
  policy: MergePolicy,
  a: RecordOf<S>,
  b: RecordOf<S>,
): RecordOf<S> {
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

/**
 * As `mergeRecords(policy, current, brought)` where of `current` only the head may be known: the result has all values that
 * `brought` has, and is `current` itself if that adds nothing. Write-once records must not be `isUndecided`.
 */
export function mergeBrought(policy: MergePolicy, current: RecordHead, brought: StoredRecord): RecordHead {
  const merged = mergeRecords<SiblingHead>(policy, current, brought)
  if (merged === current || isWhole(merged)) return merged
  const siblings = merged.siblings.map((sibling) => {
    if (hasBytes(sibling)) return sibling
    return brought.siblings.find((other) => isOneWrite(sibling, other)) ?? sibling
  })
  return new PackableRecord<SiblingHead>(merged.clock, siblings)
}

/** Whether only their values can tell which of two write-once records stays. */
export function isUndecided(a: RecordHead, b: RecordHead): boolean {
  const [ofA] = a.siblings
  const [ofB] = b.siblings
  if (ofA === undefined || ofB === undefined) return false
  return ofA.tombstone === ofB.tombstone && ofA.valueCrc32 === ofB.valueCrc32
}

/** True if both hold the same events: the same clock and the same siblings. */
export function recordsEqual(a: RecordHead, b: RecordHead): boolean {
  if (a === b || PackableRecord.haveOneHead(a, b)) return true
  return clocksEqual(a.clock, b.clock) && sameSiblings(a.siblings, b.siblings)
}

/** Which of two writes wins where only one may: the greater (timestamp, actor, counter, write) is the later. */
function compareWrites(a: SiblingHead, b: SiblingHead): number {
  if (a.timestampMs !== b.timestampMs) return a.timestampMs - b.timestampMs
  return compareDots(a.dot, b.dot) || compareBytes(a.writeId, b.writeId)
}

/** The last write of these alone; nothing of nothing. */
export function latest<S extends SiblingHead>(siblings: readonly S[]): readonly S[] {
  const [first, ...others] = siblings
  if (first === undefined) return []
  return [others.reduce((best, other) => (compareWrites(other, best) > 0 ? other : best), first)]
}

function together<S extends SiblingHead>(a: RecordOf<S>, b: RecordOf<S>): RecordOf<S> {
  return joined(a, b, unreplaced(a, b))
}

function unreplaced<S extends SiblingHead>(a: RecordOf<S>, b: RecordOf<S>): readonly S[] {
  const fromA = a.siblings.filter((sibling) => !covers(b.clock, sibling.dot) || holds(b, sibling))
  const fromB = b.siblings.filter((sibling) => !covers(a.clock, sibling.dot))
  return fromB.length === 0 ? fromA : [...fromA, ...fromB].sort((x, y) => compareDots(x.dot, y.dot))
}

function holds(record: RecordHead, sibling: SiblingHead): boolean {
  return record.siblings.some((other) => compareDots(other.dot, sibling.dot) === 0)
}

function joined<S extends SiblingHead>(a: RecordOf<S>, b: RecordOf<S>, siblings: readonly S[]): RecordOf<S> {
  const record = new PackableRecord(mergeVectors(a.clock, b.clock), siblings)
  if (recordsEqual(record, a)) return a
  return recordsEqual(record, b) ? b : record
}

function mergeWriteOnce<S extends SiblingHead>(a: RecordOf<S>, b: RecordOf<S>): RecordOf<S> {
  const [ofA] = a.siblings
  const [ofB] = b.siblings
  if (ofA === undefined || ofB === undefined) return ofB === undefined ? a : b
  return compareWriteOnce(ofA, ofB) <= 0 ? a : b
}

function sameSiblings(a: readonly SiblingHead[], b: readonly SiblingHead[]): boolean {
  return (
    a.length === b.length &&
    a.every((sibling, at) => {
      const other = b[at]
      return other !== undefined && sameSibling(sibling, other)
    })
  )
}

/** A dot names one write and only one, but for the dot that all write-once writes share, and one that was given twice. */
function sameSibling(a: SiblingHead, b: SiblingHead): boolean {
  if (compareDots(a.dot, b.dot) !== 0) return false
  return a.dot.actor === WRITE_ONCE_ACTOR ? compareWriteOnce(a, b) === 0 : equalBytes(a.writeId, b.writeId)
}

function isOneWrite(a: SiblingHead, b: SiblingHead): boolean {
  if (compareDots(a.dot, b.dot) !== 0 || a.valueCrc32 !== b.valueCrc32) return false
  return a.value.length === b.value.length && equalBytes(a.writeId, b.writeId)
}
