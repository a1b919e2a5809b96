import { compareBytes } from '@atoll/core'
import type { IndexEntry, RecordHead } from './record.ts'
import { distinctWrites } from './resolve.ts'

/** One place in an index, with what each sibling says there. */
export interface VisibleIndexEntry extends Omit<IndexEntry, 'payload'> {
  /** In the order of the siblings' dots. */
  readonly payloads: readonly Uint8Array[]
}

/**
 * The index entries of a record, of all siblings but tombstones, in the order of (index, scope, term). Expiry changes
 * nothing here: an expired sibling keeps its entries until the record is written again.
 */
export function visibleIndexEntries({ siblings }: RecordHead): readonly VisibleIndexEntry[] {
  const [first] = siblings
  // The rule, on the way of every write.
  if (first !== undefined && siblings.length === 1 && first.indexes.length <= 1)
    return first.tombstone ? [] : first.indexes.map(alone)
  const entries = distinctWrites(siblings)
    .filter((sibling) => !sibling.tombstone)
    .flatMap((sibling) => sibling.indexes)
    .sort(comparePlaces)
  const grouped: (VisibleIndexEntry & { readonly payloads: Uint8Array[] })[] = []
  for (const { payload, ...place } of entries) {
    const last = grouped.at(-1)
    if (last !== undefined && comparePlaces(last, place) === 0) last.payloads.push(payload)
    else grouped.push({ ...place, payloads: [payload] })
  }
  return grouped
}

function alone({ index, scope, term, payload }: IndexEntry): VisibleIndexEntry {
  return { index, scope, term, payloads: [payload] }
}

type Place = Omit<IndexEntry, 'payload'>

function comparePlaces(a: Place, b: Place): number {
  if (a.index !== b.index) return a.index < b.index ? -1 : 1
  return compareBytes(a.scope, b.scope) || compareBytes(a.term, b.term)
}
