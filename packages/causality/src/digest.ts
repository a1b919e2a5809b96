import { encodeTuple, type TupleValue } from '@atoll/core'
import { packVector } from './actors.ts'
import { encodeHead } from './codec.ts'
import type { RecordHead, SiblingHead } from './record.ts'
import { WRITE_ONCE_ACTOR } from './write-once.ts'

const DIGEST_BYTES = 8
const DIGEST_VERSION = 1
const HEAD_DIGEST_BYTES = 16

/**
 * 8 bytes that are equal on two replicas if and only if these hold the same record: the same clock and the same
 * dots. Values are not read, but for write-once records, which differ in nothing but their writes.
 */
export function clockDigest(record: RecordHead, sha1: (data: Uint8Array) => Uint8Array): Uint8Array {
  const { actors, counters } = packVector(record.clock)
  const identity = encodeTuple(DIGEST_VERSION, [actors, counters, ...record.siblings.map(identityOf)])
  return sha1(identity).slice(0, DIGEST_BYTES)
}

/**
 * 16 bytes that are equal only for records that are the same: of all that a head says, which has the ids of the writes and
 * the checksums of the values. Of two that are the same it may differ all the same, if other builds have packed them.
 */
export function headDigest(record: RecordHead, sha1: (data: Uint8Array) => Uint8Array): Uint8Array {
  return sha1(encodeHead(record)).slice(0, HEAD_DIGEST_BYTES)
}

function identityOf({ dot, tombstone, valueCrc32, writeId }: SiblingHead): TupleValue {
  if (dot.actor === WRITE_ONCE_ACTOR) return [dot.actor, dot.counter, tombstone, valueCrc32, writeId]
  return [dot.actor, dot.counter]
}
