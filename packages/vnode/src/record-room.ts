import type { RecordHead } from '@atoll/causality'
import { AtollError } from '@atoll/core'
import { type Extent, storedBytes } from './envelope.ts'
import type { Database } from './ports.ts'

/** By how much a record may grow that is deleted: times, marks. */
const GROWTH_BYTES = 512

/**
 * The last room of a disk is for writes that make room: deletes, and what makes a record no longer. Throws
 * `ATOLL_DISK_FULL`, definite, for others.
 */
export function checkDisk(
  database: Pick<Database, 'hasRoom'>,
  before: RecordHead | undefined,
  after: RecordHead,
): void {
  if (database.hasRoom?.() !== false) return
  const bytes = weightOf(after)
  if (bytes === 0 || (before !== undefined && bytes <= weightOf(before) + GROWTH_BYTES)) return
  const details = { reason: 'reserve' }
  const message =
    'the disk of this node is nearly full: it takes deletes, and nothing that makes a record longer'
  throw new AtollError('ATOLL_DISK_FULL', message, { definite: true, details })
}

/** Throws `ATOLL_TOO_LARGE` for a record that is larger than allowed, and larger than before. */
export function checkRoom(recordBytes: number, after: Extent, before: RecordHead | undefined): void {
  const bytes = after.bytes + after.bodyBytes
  if (bytes <= recordBytes || (before !== undefined && bytes <= storedBytes(before))) return
  const message = `the record would have ${bytes} bytes, and ${recordBytes} are allowed`
  throw new AtollError('ATOLL_TOO_LARGE', message)
}

/** Bytes of what a record holds that is not deleted. */
function weightOf({ siblings }: RecordHead): number {
  return siblings.reduce((sum, { tombstone, value, indexes }) => {
    const payloads = indexes.reduce((bytes, { payload }) => bytes + payload.length, 0)
    return tombstone ? sum : sum + value.length + payloads
  }, 0)
}
