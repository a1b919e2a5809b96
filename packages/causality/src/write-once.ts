import { assert, compareBytes } from '@atoll/core'
import { PackableRecord } from './packable-record.ts'
import {
  type ActorId,
  type Content,
  hasBytes,
  type SiblingHead,
  type StoredRecord,
  siblingOf,
  type VersionVector,
} from './record.ts'

/** Stands for "whoever wrote it": a write-once record needs no vnode to name its only event. */
export const WRITE_ONCE_ACTOR: ActorId = '0000000000000000'

const WRITE_ONCE_CLOCK: VersionVector = new Map([[WRITE_ONCE_ACTOR, 1]])
const WRITE_ONCE_DOT = { actor: WRITE_ONCE_ACTOR, counter: 1 } as const

/**
 * All deletions are the same record: of two at the same time, which replicas take without a look in either order, the
 * replicas would otherwise keep different ones. The least of all ids, as earlier builds write others.
 */
const DELETED_ID = new Uint8Array(16)

/** A record that any node can make without asking a replica what is there. Its clock is always the same. */
export function writeOnceRecord(content: Content, valueCrc32: number, writeId: Uint8Array): StoredRecord {
  const id = content.tombstone ? DELETED_ID : writeId
  const { value, metadata, tombstone, expiresAtMs, indexes } = content
  const event = { dot: WRITE_ONCE_DOT, timestampMs: 0, writeId: id }
  const head = { metadata, tombstone, expiresAtMs, indexes, valueCrc32, ...event }
  const sibling = siblingOf(value, head)
  return new PackableRecord(WRITE_ONCE_CLOCK, [sibling])
}

/**
 * The order in which write-once values of one key win, the smaller first: a tombstone, so that what was deleted stays
 * so; then the smaller checksum, value and write. Nothing in it depends on who compares or on what came first. Values are
 * only read where all that stands before them is equal.
 */
export function compareWriteOnce(a: SiblingHead, b: SiblingHead): number {
  if (a.tombstone !== b.tombstone) return a.tombstone ? -1 : 1
  if (a.valueCrc32 !== b.valueCrc32) return a.valueCrc32 - b.valueCrc32
  assert(hasBytes(a) && hasBytes(b), 'two writes of one checksum are compared by their values')
  const byValue = compareBytes(a.value, b.value)
  return byValue === 0 ? compareBytes(a.writeId, b.writeId) : byValue
}
