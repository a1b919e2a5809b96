import { describe, equalBytes, isBytes, wrongType } from '@atoll/core'
import { contextOf } from './context.ts'
import { latest } from './merge.ts'
import type { MergeFunction, MergePolicy } from './policy.ts'
import type { CausalContext, Sibling, SiblingHead, StoredRecord } from './record.ts'

export interface ResolvedValue {
  readonly value: Uint8Array
  readonly valueCrc32: number
  readonly metadata: ReadonlyMap<string, string>
}

/** What a reader sees of a key. */
export interface Resolved {
  /** None: deleted or expired. Several: siblings in the order of their dots, only with the policy `siblings`. */
  readonly values: readonly ResolvedValue[]
  /** Covers all that was read, tombstones included. */
  readonly context: CausalContext
  /** True if every sibling is a tombstone, so that the record is there only to be collected. */
  readonly tombstone: boolean
}

export interface ResolveMeans {
  /** The reader's wall clock, for expiry. */
  readonly wallMs: number
  /** CRC-32 of a merged value. */
  readonly crc32: (value: Uint8Array) => number
}

/**
 * Applies the policy to a record as a reader must see it. An error of a merge function comes through as it is; one that
 * answers anything but bytes is a `TypeError`.
 */
export function resolve(policy: MergePolicy, record: StoredRecord, means: ResolveMeans): Resolved {
  const candidates = policy.kind === 'last-write-wins' ? latest(record.siblings) : record.siblings
  const live = distinctWrites(candidates).filter((sibling) => isLive(sibling, means.wallMs))
  const merges = policy.kind === 'merge' && live.length > 1
  return {
    values: merges ? [mergedValue(policy.merge, live, means)] : live,
    context: contextOf(record),
    tombstone: candidates.every((sibling) => sibling.tombstone),
  }
}

/** Whether a reader would see any value, without working it out. */
export function hasValue(policy: MergePolicy, record: StoredRecord, wallMs: number): boolean {
  const candidates = policy.kind === 'last-write-wins' ? latest(record.siblings) : record.siblings
  return candidates.some((sibling) => isLive(sibling, wallMs))
}

function isLive({ tombstone, expiresAtMs }: Sibling, wallMs: number): boolean {
  return !tombstone && (expiresAtMs === undefined || expiresAtMs > wallMs)
}

/** One write may have two dots, if its first coordinator fell silent and another was asked: it is shown once. */
export function distinctWrites<S extends SiblingHead>(siblings: readonly S[]): readonly S[] {
  const isFirst = ({ writeId }: S, at: number) =>
    siblings.findIndex((other) => equalBytes(other.writeId, writeId)) === at
  return siblings.length < 2 ? siblings : siblings.filter(isFirst)
}

/** Metadata cannot be merged by a function of values: it is that of the last write. */
function mergedValue(merge: MergeFunction, live: readonly Sibling[], means: ResolveMeans): ResolvedValue {
  const value = merge(live)
  if (!isBytes(value))
    throw wrongType('the result of a merge function', `must be a Uint8Array, got ${describe(value)}`)
  const [last] = latest(live)
  return { value, valueCrc32: means.crc32(value), metadata: last?.metadata ?? new Map() }
}
