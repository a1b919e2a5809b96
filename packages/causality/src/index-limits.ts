import { checkBytes, checkObject, checkText, describe, wrongRange, wrongType } from '@atoll/core'
import type { IndexEntry } from './record.ts'

/**
 * What a client may write to indexes. An entry is a key of the database, and travels in a page of a scan: all that it
 * is made of must fit. What was stored before there were limits is merged, moved and repaired as ever.
 */
export const INDEX_LIMITS = {
  /** Entries of one record. */
  entries: 1000,
  nameCharacters: 64,
  scopeBytes: 4096,
  termBytes: 4096,
  payloadBytes: 65_536,
} as const

/** Throws `TypeError` or `RangeError` that names what is over which limit. */
export function checkIndexEntries(entries: readonly IndexEntry[]): void {
  if (!Array.isArray(entries)) throw wrongType('indexes', `must be an array, got ${describe(entries)}`)
  if (entries.length > INDEX_LIMITS.entries)
    throw wrongRange('indexes', `must have at most ${INDEX_LIMITS.entries} entries, got ${entries.length}`)
  for (const [at, entry] of entries.entries()) {
    checkObject(`indexes[${at}]`, entry)
    const { index, scope, term, payload } = entry
    checkText('index', index, /^.{1,64}$/s, `a name of 1 to ${INDEX_LIMITS.nameCharacters} characters`)
    checkBytes('scope', scope, { min: 0, max: INDEX_LIMITS.scopeBytes })
    checkBytes('term', term, { min: 0, max: INDEX_LIMITS.termBytes })
    checkBytes('payload', payload, { min: 0, max: INDEX_LIMITS.payloadBytes })
  }
}
