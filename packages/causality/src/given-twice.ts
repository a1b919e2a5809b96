import { equalBytes, toHex } from '@atoll/core'
import { PackableRecord } from './packable-record.ts'
import type { ActorId, Dot, RecordHead, RecordOf, SiblingHead } from './record.ts'
import { compareDots } from './version-vector.ts'
import { WRITE_ONCE_ACTOR } from './write-once.ts'

const ACTOR_BYTES = 8
const NONE: readonly ActorId[] = []

/**
 * The actors of dots that both hold, each with another write, ascending. There are none unless data was put back from
 * an older copy that nobody took for one, and gave dots out again.
 */
export function givenTwice(a: RecordHead, b: RecordHead): readonly ActorId[] {
  if (a === b) return NONE
  let actors: Set<ActorId> | undefined
  for (const sibling of a.siblings) {
    if (sibling.dot.actor === WRITE_ONCE_ACTOR || !b.siblings.some((other) => isClash(sibling, other)))
      continue
    actors ??= new Set()
    actors.add(sibling.dot.actor)
  }
  return actors === undefined ? NONE : [...actors]
}

function isClash(a: SiblingHead, b: SiblingHead): boolean {
  return compareDots(a.dot, b.dot) === 0 && !equalBytes(a.writeId, b.writeId)
}

/**
 * The record with other dots for its siblings of these actors: the first event of an actor that is named after the write. So
 * every replica gives a write the same new name, and no clock knows it that has not seen the write itself. The clock still
 * knows the old names: a record that has them and no new ones has been seen. Answers `record` itself if it has none of them.
 */
export function renameSiblings<S extends SiblingHead>(
  record: RecordOf<S>,
  actors: readonly ActorId[],
): RecordOf<S> {
  if (!record.siblings.some(({ dot }) => actors.includes(dot.actor))) return record
  const clock = new Map(record.clock)
  const siblings = new Map<ActorId, S>()
  for (const sibling of record.siblings) {
    const isRenamed = actors.includes(sibling.dot.actor)
    const dot = isRenamed ? nameOfWrite(sibling) : sibling.dot
    if (isRenamed) clock.set(dot.actor, Math.max(dot.counter, clock.get(dot.actor) ?? 0))
    const name = `${dot.actor} ${dot.counter}`
    // A write that has two of the dots gets one.
    const before = siblings.get(name)
    if (before === undefined || before.timestampMs <= sibling.timestampMs)
      siblings.set(name, { ...sibling, dot })
  }
  return new PackableRecord(
    clock,
    [...siblings.values()].sort((a, b) => compareDots(a.dot, b.dot)),
  )
}

/**
 * Whether `other` has, or had, a write of this actor's in `record` under the name that it gets when its dot was given
 * twice.
 */
export function isRenamedIn(other: RecordHead, record: RecordHead, actor: ActorId): boolean {
  return record.siblings.some(
    (sibling) => sibling.dot.actor === actor && other.clock.has(nameOfWrite(sibling).actor),
  )
}

function nameOfWrite({ writeId }: SiblingHead): Dot {
  return { actor: toHex(writeId.subarray(0, ACTOR_BYTES)), counter: 1 }
}

/**
 * 8 bytes that tell records of the same clock and the same dots apart if these stand for other writes: the ids of the
 * writes, which are random, one over the other by exclusive or.
 */
export function writesDigest({ siblings }: RecordHead): Uint8Array {
  const digest = new Uint8Array(ACTOR_BYTES)
  for (const { writeId } of siblings)
    for (let at = 0; at < ACTOR_BYTES; at++) digest[at] = (digest[at] ?? 0) ^ (writeId[at] ?? 0)
  return digest
}
