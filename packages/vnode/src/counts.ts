import type { RecordHead } from '@atoll/causality'
import { type KeyId, placeOf } from '@atoll/core'
import type { Derivation } from './derivation.ts'

/** What some records are, summed up. */
export interface Counts {
  /** Keys under which a record lies, tombstones and damaged records among them. */
  readonly records: number
  /**
   * Bytes of the values of all siblings, and of buckets, keys and places. Clocks, metadata and index entries do not
   * count.
   */
  readonly bytes: number
  /** Records of which all siblings are tombstones. */
  readonly tombstones: number
}

export const NO_COUNTS: Counts = { records: 0, bytes: 0, tombstones: 0 }

/** A step in the counts of a vnode, written in the batch that makes it true. */
export type CountStep =
  | ({
      readonly kind: 'add'
      readonly partition: number
      readonly type: string
      readonly key: Uint8Array
      /** The text of `key`. */
      readonly name: string
    } & Counts)
  /** From here on nobody knows, until somebody has counted. */
  | { readonly kind: 'forget'; readonly partition: number }
  /** By bucket type: what the vnode has, whatever was known. */
  | { readonly kind: 'set'; readonly partition: number; readonly counts: ReadonlyMap<string, Counts> }

/** What a record counts as; one that cannot be read counts by its key. */
export function countsOf(id: KeyId, record: RecordHead | undefined): Counts {
  const keyBytes = id.bucket.length + id.key.length + (placeOf(id)?.length ?? 0)
  if (record === undefined) return { records: 1, bytes: keyBytes, tombstones: 0 }
  let bytes = keyBytes
  let isTombstone = record.siblings.length > 0
  for (const { value, tombstone } of record.siblings) {
    bytes += value.length
    if (!tombstone) isTombstone = false
  }
  return { records: 1, bytes, tombstones: isTombstone ? 1 : 0 }
}

/** What a change does to the counts of its vnode and bucket type. */
export const storedCounts: Derivation = (change, { layout: { partition } }, { steps }) => {
  const { id, key, name, before, after, isLost } = change
  if (isLost) {
    steps.push({ kind: 'forget', partition })
    return
  }
  const was = before === undefined ? NO_COUNTS : countsOf(id, before)
  const is = after === undefined ? NO_COUNTS : countsOf(id, after)
  steps.push({
    kind: 'add',
    partition,
    type: id.type,
    key,
    name,
    records: is.records - was.records,
    bytes: is.bytes - was.bytes,
    tombstones: is.tombstones - was.tombstones,
  })
}
