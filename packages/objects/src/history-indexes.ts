import { EMPTY_BYTES, encodeWith, type KeyId, utf8 } from '@atoll/core'
import { summaryCodec } from './codec.ts'
import { type History, isRemoved, visibleOf } from './history.ts'
import { COLLECT_INDEX, LIST_INDEX } from './kv-types.ts'
import type { KvIndexEntry } from './ports.ts'

/** Scope in the index `collect` of records with an upload that did not end well so far; the term is its lease's end. */
export const UPLOADS_SCOPE: Uint8Array = utf8('uploads')
/** Scope in the index `collect` of records with something out of use; the term is since when. */
export const REMOVED_SCOPE: Uint8Array = utf8('removed')

/** A wall time as it sorts in an index: 8 bytes, big-endian milliseconds. */
export function timeTerm(ms: number): Uint8Array {
  const term = new Uint8Array(8)
  new DataView(term.buffer).setBigUint64(0, BigInt(Math.max(0, Math.ceil(ms))))
  return term
}

/** Where a manifest record is found: by key if there is something to see, by time if there is something to clear. */
export function indexesOf({ bucket, key }: KeyId, history: History): readonly KvIndexEntry[] {
  const entries: KvIndexEntry[] = []
  const visible = visibleOf(history)
  if (visible !== undefined) {
    const { uuid, content } = visible
    entries.push({
      index: LIST_INDEX,
      scope: bucket,
      term: key,
      payload: encodeWith(summaryCodec, { uuid, ...content }),
    })
  }
  // One that can be seen, and nothing beside it, wants no attention.
  if (visible !== undefined && history.manifests.size === 1) return entries
  const manifests = [...history.manifests.values()]
  const unfinished = manifests.filter(
    ({ state, blocks }) => state === 'writing' || (state === 'deleted' && blocks > 0),
  )
  const leases = unfinished.map(({ state, leaseEndsMs, removedMs }) =>
    state === 'writing' ? leaseEndsMs : removedMs,
  )
  const removals = manifests.filter(isRemoved).map(({ removedMs }) => removedMs)
  if (visible === undefined && history.retired.version > 0) removals.push(history.retired.atMs)
  return [...entries, ...collectEntry(UPLOADS_SCOPE, leases), ...collectEntry(REMOVED_SCOPE, removals)]
}

/** One entry for the whole record, at the earliest time at which it wants attention. */
function collectEntry(scope: Uint8Array, times: readonly number[]): readonly KvIndexEntry[] {
  if (times.length === 0) return []
  const term = timeTerm(times.reduce((a, b) => Math.min(a, b)))
  return [{ index: COLLECT_INDEX, scope, term, payload: EMPTY_BYTES }]
}
