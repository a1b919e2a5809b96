import type { Ticket } from './readers.ts'
import { FIRST_RECORD_OFFSET } from './segment-file.ts'

/** `active`: being written, or not all of it applied yet. `emptied`: nothing points to it any more. */
export type SegmentState = 'free' | 'active' | 'full' | 'emptied'

export interface Segment {
  readonly slot: number
  readonly sizeBytes: number
  state: SegmentState
  liveBytes: number
  /** What was written of it when it was full, or all that fits into it where nobody knows that. */
  usedBytes: number
  /** Readers with a ticket below this may need it still. Counts once it is emptied. */
  neededBelow: Ticket
  /** The checkpoint knows that it is emptied. */
  settled: boolean
  /** Compaction found a value in it that cannot be read. It is left alone. */
  damaged: boolean
  /** Some large value may lie in it. */
  mayHold: boolean
  /** How often there had been reason for doubt when its live bytes were last known for certain. */
  countedAt: number
  /** It was created just now: the file takes no more room than was written of it. */
  isFresh: boolean
  /** Changes of its count, so that a recount knows whether it was overtaken. */
  changes: number
}

/** What share of the segment is in use, about. */
export function liveShare({ liveBytes, sizeBytes }: Pick<Segment, 'liveBytes' | 'sizeBytes'>): number {
  return liveBytes / (sizeBytes - FIRST_RECORD_OFFSET)
}
