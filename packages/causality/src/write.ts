import { AtollError, assert, equalBytes, LATEST_WALL_MS } from '@atoll/core'
import { latest, mergeRecords } from './merge.ts'
import { PackableRecord } from './packable-record.ts'
import type { MergePolicy } from './policy.ts'
import {
  type CausalContext,
  type Content,
  type Dot,
  EMPTY_RECORD,
  type RecordHead,
  type RecordOf,
  type Sibling,
  type SiblingHead,
  siblingOf,
  type VersionVector,
} from './record.ts'
import { compareDots, covers, mergeVectors } from './version-vector.ts'
import { writeOnceRecord } from './write-once.ts'

/** Blind writes to one key pile up siblings; a write that would leave more than this many is refused. */
export const MAX_SIBLINGS = 100

export interface ClientWrite {
  readonly content: Content
  /** CRC-32 of `content.value`. */
  readonly valueCrc32: number
  /** 16 bytes, the same in every retry of the write. */
  readonly writeId: Uint8Array
  /** What the client had seen; undefined for a blind write. */
  readonly context: CausalContext | undefined
}

export interface RecordUpdate<S extends SiblingHead = Sibling> {
  readonly policy: MergePolicy
  /** What the vnode holds; undefined for nothing. */
  readonly current: RecordOf<S> | undefined
  readonly write: ClientWrite
  /** The vnode's next event, later than any that it ever gave to this key. Not used for write-once. */
  readonly dot: Dot
  /** The vnode's wall clock. It may be wrong by any amount; the order of causes holds all the same. */
  readonly wallMs: number
}

/**
 * The record after a client's write, made by the vnode that coordinates it. The write replaces what its context
 * covers, and with last-write-wins all that the vnode holds; what else is there stays beside it. A retry of a write
 * that is still among the siblings answers `current` itself.
 *
 * Throws `ATOLL_CORRUPT` for a context that knows an event which was never given, and `ATOLL_OVERLOADED` if more
 * than `MAX_SIBLINGS` would be left.
 */
export function writeRecord<S extends SiblingHead = Sibling>(update: RecordUpdate<S>): RecordOf<S | Sibling> {
  const { policy, write, dot } = update
  const current: RecordOf<S | Sibling> = update.current ?? EMPTY_RECORD
  if (policy.kind === 'write-once') return writeOnce(update)
  if (isRetry(current, write)) return current
  checkDot(current, update)

  const seen = write.context?.vector ?? EMPTY_RECORD.clock
  const replaced = (sibling: SiblingHead) => isReplaced(sibling, update)
  const kept = current.siblings.filter((sibling) => !replaced(sibling))
  checkSiblings(kept.length + 1)

  const timestampMs = stamp(update, current.siblings.filter(replaced))
  const { content, valueCrc32, writeId } = write
  const { value, metadata, tombstone, expiresAtMs, indexes } = content
  const head = { metadata, tombstone, expiresAtMs, indexes, dot, valueCrc32, timestampMs, writeId }
  const sibling = siblingOf(value, head)
  const clock = withDot(mergeVectors(current.clock, seen), dot)
  const siblings =
    kept.length === 0 ? [sibling] : [...kept, sibling].sort((a, b) => compareDots(a.dot, b.dot))
  return new PackableRecord<S | Sibling>(clock, siblings)
}

/** Whether the record after a write, or what is answered in its place, has values of those that the vnode holds. */
export function keepsValues(
  current: RecordHead,
  { policy, write }: Pick<RecordUpdate, 'policy' | 'write'>,
): boolean {
  if (isRetry(current, write)) return true
  return current.siblings.some((sibling) => !isReplaced(sibling, { policy, write }))
}

function isRetry({ siblings }: RecordHead, { writeId }: ClientWrite): boolean {
  return siblings.some((sibling) => equalBytes(sibling.writeId, writeId))
}

function isReplaced(
  { dot }: SiblingHead,
  { policy, write }: Pick<RecordUpdate, 'policy' | 'write'>,
): boolean {
  return policy.kind === 'last-write-wins' || covers(write.context?.vector ?? EMPTY_RECORD.clock, dot)
}

/** Later than everything that is replaced, and not earlier than the wall clock. */
function stamp(
  { write, wallMs }: Pick<RecordUpdate, 'write' | 'wallMs'>,
  replaced: readonly SiblingHead[],
): number {
  const [last] = latest(replaced)
  const seenMs = Math.max(write.context?.timestampMs ?? -1, last?.timestampMs ?? -1)
  return Math.max(Math.min(Math.floor(wallMs), LATEST_WALL_MS), seenMs + 1)
}

function withDot(vector: VersionVector, dot: Dot): VersionVector {
  return new Map(vector).set(dot.actor, dot.counter)
}

function writeOnce<S extends SiblingHead>({
  policy,
  current,
  write,
}: RecordUpdate<S>): RecordOf<S | Sibling> {
  const record = writeOnceRecord(write.content, write.valueCrc32, write.writeId)
  return current === undefined ? record : mergeRecords<S | Sibling>(policy, current, record)
}

function checkDot(current: RecordHead, { write, dot }: Pick<RecordUpdate, 'write' | 'dot'>): void {
  assert(!covers(current.clock, dot), 'a vnode gives every dot once')
  if (write.context !== undefined && covers(write.context.vector, dot)) {
    throw new AtollError('ATOLL_CORRUPT', 'the context knows a write that has not happened')
  }
}

function checkSiblings(count: number): void {
  if (count <= MAX_SIBLINGS) return
  const advice = 'read the key and write with the context of that read'
  throw new AtollError('ATOLL_OVERLOADED', `the key has ${MAX_SIBLINGS} siblings already: ${advice}`)
}
