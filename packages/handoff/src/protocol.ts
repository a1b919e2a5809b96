import type { StoredRecord } from '@atoll/causality'
import type { AtollErrorCode, KeyId } from '@atoll/core'
import type { RecordDigest } from '@atoll/vnode'

/** Why records move: the vnode gets another owner, or lies where it does not belong, or a replica is lacking. */
export type HandoffKind = 'transfer' | 'give-back' | 'refill'

/** What is said of a partition holds for a ring with so many of them; default that of whoever is asked. */
export interface OfRing {
  readonly partitions?: number | undefined
}

/** Asks which of these records the vnode lacks. */
export interface OfferRequest extends OfRing {
  readonly partition: number
  readonly kind: HandoffKind
  readonly entries: readonly RecordDigest[]
}

export interface OfferReply {
  /** Places in `entries` of the records that the vnode does not hold as they are, ascending. */
  readonly lacking: readonly number[]
}

/** Gives the vnode records to merge. Answers when they are durable. */
export interface SendRequest extends OfRing {
  readonly partition: number
  readonly kind: HandoffKind
  readonly records: readonly SentRecord[]
}

export interface SentRecord {
  readonly id: KeyId
  readonly record: StoredRecord
}

export interface SendReply {
  /** Records that the vnode will never take, such as one that is too large there. */
  readonly refused: readonly { readonly at: number; readonly code: AtollErrorCode }[]
  /** How long the sender shall wait before it sends more, in milliseconds. */
  readonly pauseMs: number
}

export interface PartitionRequest extends OfRing {
  readonly partition: number
}

/** Tells that nothing more of this comes for now. */
export interface EndRequest extends OfRing {
  readonly partition: number
  readonly kind: HandoffKind
}
