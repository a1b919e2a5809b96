import type { CausalContext, Content } from '@atoll/causality'
import { EMPTY_BYTES, type Random, wrongType } from '@atoll/core'
import type { BucketProperties } from './bucket-properties.ts'
import type { KvWrite, KvWritten } from './kv.ts'
import type { WriteQuorum } from './quorum.ts'

/** What is to be written, and on which condition. */
export interface NewWrite {
  readonly type: BucketProperties
  readonly content: Content
  readonly ifAlone?: boolean
  readonly ifUnchanged?: KvWrite['ifUnchanged']
  readonly valueCrc32: number
  readonly context: CausalContext | undefined
  readonly writeId?: Uint8Array | undefined
  readonly onReleased?: (() => void) | undefined
}

export const WRITE_ID_BYTES = 16

/** Which write it is: what the caller says, or a new one. Throws `TypeError` where that is not for the caller to say. */
export function writeIdOf({ writeId, type }: NewWrite, random: Random): Uint8Array {
  if (writeId === undefined) return random.bytes(WRITE_ID_BYTES)
  if (type.policy.kind !== 'write-once')
    throw wrongType('writeId', 'is for writes of write-once bucket types')
  return writeId
}

/** What a deletion writes. */
export const TOMBSTONE: Content = {
  value: EMPTY_BYTES,
  metadata: new Map(),
  tombstone: true,
  expiresAtMs: undefined,
  indexes: [],
}

/** What is answered where nothing was written. */
export const NOTHING_WRITTEN: KvWritten = {
  accepted: 0,
  durable: 0,
  primaries: 0,
  context: undefined,
  alone: false,
}

/** A write with a guard begins at a primary: so one has to be there, or all. */
export function guarded(quorum: WriteQuorum, { ifUnchanged }: NewWrite): WriteQuorum {
  if (ifUnchanged === undefined) return quorum
  return { ...quorum, pw: ifUnchanged === 'all' ? quorum.n : Math.max(1, quorum.pw) }
}

/** How many primaries have to say that a write met nothing else for that to count; undefined if nobody wants to know. */
export function aloneAt(
  { ifAlone = false, ifUnchanged }: NewWrite,
  n: number,
  readSize: () => number,
): number | undefined {
  if (ifUnchanged === 'all') return n
  return ifAlone || ifUnchanged === 'one' ? readSize() : undefined
}
