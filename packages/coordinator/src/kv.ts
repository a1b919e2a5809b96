import type { IndexEntry } from '@atoll/causality'
import type { KeyId, TermGroups } from '@atoll/core'

/** How many replicas: a number, or `one`, `quorum` (a majority of n), `all`. */
export type QuorumSize = number | 'one' | 'quorum' | 'all'

/**
 * Who can confirm that a record is absent: as many primaries as a read needs replicas, or any replicas that were asked,
 * fallbacks among them.
 */
export type Absence = 'primaries' | 'any'

export interface ReadOptions {
  readonly n?: number
  readonly r?: QuorumSize
  /** How many of those must be primaries. */
  readonly pr?: QuorumSize
  readonly notfoundOk?: boolean
  readonly basicQuorum?: boolean
  /** Default that of the bucket type. */
  readonly absence?: Absence
  /** False to ask primaries only. */
  readonly sloppy?: boolean
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
  /**
   * For write-once types: whether a replica's value is the right one. One that is refused counts as corrupt, and is
   * healed from a replica of which the value is accepted.
   */
  readonly accept?: ((value: KvValue) => boolean) | undefined
  /**
   * For write-once types: whether the key is known to have been written, as when another record names it. Then its absence
   * takes more: everybody who may hold it for a primary is asked, too, and has none. Default false.
   */
  readonly known?: boolean
  /**
   * Whether values that were found are what the reader looks for; default that there is one. Others are answered, too, but
   * only where the reader may take them for absence. Not for write-once types.
   */
  readonly shows?: ((values: readonly KvValue[]) => boolean) | undefined
  /**
   * Waits for every reachable replica, and for the repair of each primary that was behind, before it answers, but no
   * longer than `timeoutMs`. Restores redundancy at once. Default false.
   */
  readonly repair?: boolean
}

export interface WriteOptions {
  readonly n?: number
  /** Replicas that must have the write in memory. */
  readonly w?: QuorumSize
  /** Replicas that must have it on disk. */
  readonly dw?: QuorumSize
  /** Primaries that must have it on disk. */
  readonly pw?: QuorumSize
  readonly sloppy?: boolean
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
}

export interface KvValue {
  readonly value: Uint8Array
  /** CRC-32 of the value, checked where it was read. */
  readonly valueCrc32: number
  readonly metadata: ReadonlyMap<string, string>
}

export interface KvRead {
  /** No value: the key is absent or deleted. Several: siblings, in the order of their dots. */
  readonly values: readonly KvValue[]
  /** The context for the next write of this key; undefined if no replica knows the key. */
  readonly context: Uint8Array | undefined
}

export interface KvWrite {
  readonly value: Uint8Array
  /** CRC-32 of the value, if the caller has it already. */
  readonly valueCrc32?: number | undefined
  /**
   * For write-once types: 16 bytes that say which write it is; default drawn. Whoever tries a write again gives the same
   * ones, with the same value and metadata: then replicas that took one try or the other hold the same record.
   */
  readonly writeId?: Uint8Array | undefined
  /**
   * Called once nobody looks at the bytes of the value any more: from then on they may change. That may be after the
   * answer, for a replica may be slow; and it is never for a write of a type that is not write-once, or of which any
   * replica failed.
   */
  readonly onReleased?: (() => void) | undefined
  readonly metadata?: ReadonlyMap<string, string> | undefined
  readonly indexes?: readonly IndexEntry[] | undefined
  /** From the read that this write replaces; without it, a blind write. */
  readonly context?: Uint8Array | undefined
  /**
   * Writes only if the first replica that is asked holds nothing that the context does not cover, and reports what it
   * met. It saves a read before the write. If that replica declines, nothing is written, and `accepted` is 0. It is no
   * lock: concurrent writes may both succeed, and become siblings. Default false; not for write-once types.
   */
  readonly ifAlone?: boolean
  /**
   * Writes only if the record is still what the context has seen, so that no concurrent change is undone. A
   * primary that holds exactly what the context covers begins; if none does, nothing is written, and `accepted` is 0.
   * With `one` that primary alone decides: concurrent writes that other primaries begin become siblings. With
   * `all`, `alone` is true only if every primary has the write and says that it met nothing else, so that of two writes, one
   * with `one` and one with `all`, never both count as done. Fallbacks do not count. Not for write-once types.
   */
  readonly ifUnchanged?: 'one' | 'all' | undefined
  readonly expiresAtMs?: number | undefined
}

export interface KvWritten {
  /**
   * Replicas that hold the write: in memory, on disk, and how many of the latter are primaries that reads hear. While n
   * goes up, the one that is being filled is not among these.
   */
  readonly accepted: number
  readonly durable: number
  readonly primaries: number
  /** Covers the write itself and all that it met; undefined for write-once types. */
  readonly context: Uint8Array | undefined
  /**
   * True if the write met nothing that its context did not cover, as a read would have told: so say r primaries, or all.
   * Only for writes with `ifAlone` or `ifUnchanged`, and not always then: false means that nobody knows.
   */
  readonly alone: boolean
}

export interface KvScan {
  readonly type: string
  readonly index: string
  readonly scope: Uint8Array
  readonly from?: Uint8Array | undefined
  readonly to?: Uint8Array | undefined
  /** `next` of the page before. */
  readonly after?: Uint8Array | undefined
  /** 1 to 10 000, default 1000. */
  readonly limit?: number
  /** Of the terms of one group only the first entry is answered, which stands for all; default every entry. */
  readonly groups?: TermGroups | undefined
}

export interface KvScanPage {
  /** In the order of (term, bucket, key, place). May be fewer than the limit, even none, with more to come after `next`. */
  readonly entries: readonly KvScanEntry[]
  /** Where the next page starts; undefined after the last. */
  readonly next: Uint8Array | undefined
}

export interface KvScanEntry {
  readonly term: Uint8Array
  readonly bucket: Uint8Array
  readonly key: Uint8Array
  /** That of the id, if it has one. */
  readonly place?: Uint8Array | undefined
  readonly payloads: readonly Uint8Array[]
}

export interface DeleteOptions extends WriteOptions {
  /** What the deletion replaces; without it, what a read of this moment sees. Write-once types take none. */
  readonly context?: Uint8Array | undefined
}

/** The key-value store that a coordinator offers. */
export interface KeyValueStore {
  get(id: KeyId, options?: ReadOptions): Promise<KvRead>
  put(id: KeyId, write: KvWrite, options?: WriteOptions): Promise<KvWritten>
  /** Writes a tombstone. If the read finds that the key was never written, nothing is written. */
  delete(id: KeyId, options?: DeleteOptions): Promise<KvWritten>
  scan(scan: KvScan, options?: ReadOptions): Promise<KvScanPage>
  /** The bucket types that this node knows, each with the kind of its merge policy. */
  types(): Iterable<readonly [type: string, policy: string]>
}
