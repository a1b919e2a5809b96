import {
  type ActorId,
  type Dot,
  descends,
  EMPTY_RECORD,
  type RecordHead,
  type StoredRecord,
  type VersionVector,
} from '@atoll/causality'
import type { KeyId } from '@atoll/core'
import type { Origin } from './derivation.ts'
import type { Incarnation } from './incarnation.ts'

/** How a write comes about: from what is there, and from the vnode's next event if it coordinates. */
export interface Decision {
  readonly id: KeyId
  /** The history that the write brings along. */
  readonly seen: VersionVector | undefined
  /** The record that is merged into what is there, if one is. */
  readonly brought?: StoredRecord
  /** Whether the values of what is brought will never change; default false. */
  readonly isSettled?: boolean
  /** Writes nothing unless the record has just the events that `seen` knows, and nothing was lost; default false. */
  readonly ifAlone?: boolean
  /**
   * Whether a client writes: then the record may have `recordBytes` at most, or as many as before. What is merged of
   * writes that were allowed is never too large.
   */
  readonly isClients?: boolean
  /** Holders that miss the write. */
  readonly hintFor?: readonly string[] | undefined
  readonly origin: Origin
  /**
   * Whether it takes the values of what is there, which may lie apart from the head. If not, the result has all of its
   * values all the same, unless it is `current` itself.
   */
  readonly needsValues: (current: RecordHead) => boolean
  readonly decide: (current: RecordHead | undefined, nextDot: () => Dot) => RecordHead
}

/** A decided write: queued, and on disk once `durable` resolves. */
export interface Decided {
  /** What the vnode holds now; empty if it has declined. Some values may be missing if nothing has changed. */
  readonly record: RecordHead
  readonly changed: boolean
  /** True if nothing was written, because of `ifAlone`. */
  readonly declined: boolean
  /** True if what was there before could not be read, so that nobody knows what it was. */
  readonly overCorrupt: boolean
  /** Actors of dots that stood for one write here and for another in what was brought. */
  readonly twice: readonly ActorId[]
  readonly durable: Promise<void>
}

/**
 * A record that lacks something that others have seen is not the one that they have seen: what was decided upon may have
 * been forgotten here.
 */
export function isExactly(record: RecordHead | undefined, seen: VersionVector | undefined): boolean {
  const clock = record?.clock ?? EMPTY_RECORD.clock
  const known = seen ?? EMPTY_RECORD.clock
  return descends(known, clock) && descends(clock, known)
}

/** True if others know events of this actor that its own copy lacks: then it has lost some, and must not count on. */
export function knowsMore(
  seen: VersionVector | undefined,
  current: RecordHead | undefined,
  { actor }: Incarnation,
): boolean {
  return (seen?.get(actor) ?? 0) > (current?.clock.get(actor) ?? 0)
}
