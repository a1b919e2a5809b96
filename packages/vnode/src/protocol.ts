import type { ActorId, CausalContext, Content, StoredRecord } from '@atoll/causality'
import type { KeyId, TermGroups } from '@atoll/core'

/** What a vnode is to whoever asks it: the owner's, or one that stands in for that. */
export type VnodeRole = 'primary' | 'fallback'

/** Asks the vnode of `partition` for a record. */
export interface GetRequest {
  readonly partition: number
  readonly id: KeyId
  /** Whether the digest of the record will do; default false. Asked only of those who know `DIGEST_READS`. */
  readonly digestOnly?: boolean | undefined
}

/** Neither record nor digest: the vnode has none, or has one whose bytes fail their check (`corrupt`). */
export interface GetReply {
  readonly record: StoredRecord | undefined
  readonly corrupt: boolean
  /** In place of the record (`headDigest`), only if that is asked for; the record may come all the same. */
  readonly digest?: Uint8Array | undefined
}

/** Gives the vnode of `partition` a finished record to merge into its own. Answers when that is durable. */
export interface PutRequest {
  readonly partition: number
  readonly id: KeyId
  readonly record: StoredRecord
  /** Whether the answer says if the vnode holds anything else; default false. Not for a fresh record. */
  readonly tellAlone?: boolean | undefined
  /**
   * True for a client's own write of a write-once type: it is written without a look at what is there. Everything else that
   * comes, such as a repair, a mirrored or a moved record, may be older than a deletion, and is merged. Default false.
   */
  readonly isFresh?: boolean | undefined
  /** Whether the answer says which dots stand for other writes here; default false. Not for a fresh record. */
  readonly tellTwice?: boolean | undefined
  /**
   * Holders that miss the write: the vnode notes that with it, and gives them the record when they are back. Default
   * none.
   */
  readonly hintFor?: readonly string[] | undefined
  /**
   * Whether nobody wants to hear that the record was accepted, before it is durable; default false. Asked only of those who
   * know `QUIET_PUTS`.
   */
  readonly quiet?: boolean | undefined
}

/** Asks the vnode of `partition` to note that these holders miss its record of a key. Answers when that is durable. */
export interface HintRequest {
  readonly partition: number
  readonly id: KeyId
  readonly hintFor: readonly string[]
}

/** Actors that one reply to a put names. */
export const MAX_TWICE = 16

export interface PutReply {
  /** False if the vnode had all of it already. */
  readonly changed: boolean
  /** Only if asked for: true if the vnode certainly knows of no write of the key that the record does not cover. */
  readonly alone?: boolean | undefined
  /**
   * Actors of dots under which the vnode held other writes than the record: it keeps both, under new names, but other vnodes
   * may have taken the record for something old. Only if asked for, and if there are any; 16 at most are told.
   */
  readonly twice?: readonly ActorId[] | undefined
  /** Not sent: true if nobody looks at the bytes of the record's values any more. Default nobody knows. */
  readonly released?: boolean | undefined
}

/**
 * Asks the vnode of `partition` to coordinate a write: to give it the vnode's next dot on top of what the vnode holds.
 * Answers with the whole resulting record once that is durable.
 */
export interface CoordinateRequest {
  readonly partition: number
  readonly id: KeyId
  readonly content: Content
  readonly valueCrc32: number
  /** What the client had seen; undefined for a blind write. */
  readonly context: CausalContext | undefined
  readonly writeId: Uint8Array
  /**
   * Writes nothing if the vnode may know of a write of the key that the context does not cover, or lacks one that it
   * covers; default false.
   */
  readonly ifAlone?: boolean | undefined
  /** As that of a put. */
  readonly hintFor?: readonly string[] | undefined
  /**
   * Whether to tell what was decided before it is durable, if the result is the write alone; default false. Asked only of
   * those who know `DECISIONS`.
   */
  readonly tellDecided?: boolean | undefined
}

/** Told of the result of a write when that is decided and queued, before it is durable. */
export type OnDecided = (record: StoredRecord) => void

export interface CoordinateReply {
  /** What the vnode holds now; empty if it has declined. */
  readonly record: StoredRecord
  /** True if nothing was written, because of `ifAlone`. */
  readonly declined?: boolean | undefined
}

/**
 * Asks one node for the next entries of an index, in the order of (term, bucket, key, place), from the vnodes that it hosts.
 * Each vnode answers only for the slices of the ring named with it, so that no key is answered twice by one node.
 */
export interface ScanRequest {
  /** Partitions of the ring that the scan goes by; default as many as the host files by. */
  readonly partitions?: number | undefined
  readonly vnodes: readonly ScanVnode[]
  readonly type: string
  readonly index: string
  readonly scope: Uint8Array
  /** Terms from this one on, inclusive; undefined for the beginning. */
  readonly from: Uint8Array | undefined
  /** Terms before this one; undefined for the end. */
  readonly to: Uint8Array | undefined
  /** Only entries after this position; undefined for all. */
  readonly after: ScanPosition | undefined
  /** 1 to 10 000. */
  readonly limit: number
  /** Of the terms of one group only the first entry is answered. Asked only of those who know `SCAN_GROUPS`. */
  readonly groups?: TermGroups | undefined
}

export interface ScanVnode {
  readonly partition: number
  /** Those of which it shall answer the entries. */
  readonly slices: readonly number[]
  /** Default primary. */
  readonly role?: VnodeRole
}

export interface ScanPosition {
  readonly term: Uint8Array
  readonly bucket: Uint8Array
  readonly key: Uint8Array
  /** That of the id, if it has one; a key without one comes first. */
  readonly place?: Uint8Array | undefined
}

export interface ScanReply {
  readonly entries: readonly ScanEntry[]
  /** True if there is nothing after the last entry. */
  readonly done: boolean
}

export interface ScanEntry extends ScanPosition {
  /** Slice of the ring (responsible partition) that the key belongs to. */
  readonly slice: number
  /** Digest of the record's clock: equal on two replicas if and only if they hold the same record. */
  readonly clockDigest: Uint8Array
  /** The payloads of all siblings that carry this term. */
  readonly payloads: readonly Uint8Array[]
}
