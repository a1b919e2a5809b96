import { exceedsRoom, type StoredRecord } from '@atoll/causality'
import { KiB } from '@atoll/core'
import { FRAME_ROOM } from '@atoll/transport'

/**
 * Whether a record is larger than a frame. What a client writes fits into one; but what two sides of a partition have
 * written is merged, siblings beside siblings, and has to be read and repaired all the same.
 */
export function isLargeRecord(record: StoredRecord | undefined): boolean {
  return record !== undefined && exceedsRoom(record, FRAME_ROOM)
}

/** Values of a record that travels with others. */
const SMALL_BYTES = 16 * KiB

/** Whether the values of a record are so short that it may travel with others, which it holds up. */
export function isSmallRecord({ siblings }: StoredRecord): boolean {
  let bytes = 0
  for (const { value } of siblings) bytes += value.length
  return bytes <= SMALL_BYTES
}
