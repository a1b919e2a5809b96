import { exceedsRoom, type StoredRecord } from '@atoll/causality'
import { FRAME_ROOM } from '@atoll/transport'

/**
 * Whether a record is larger than a frame. What a client writes fits into one; but what two sides of a partition have
 * written is merged, siblings beside siblings, and has to be read and repaired all the same.
 */
export function isLargeRecord(record: StoredRecord | undefined): boolean {
  return record !== undefined && exceedsRoom(record, FRAME_ROOM)
}
