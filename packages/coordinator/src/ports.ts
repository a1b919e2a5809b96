import type { ActorId, CausalContext, Content, StoredRecord } from '@atoll/causality'
import type { KeyId, TermGroups } from '@atoll/core'

/** A place that holds or shall hold a replica: the vnode `partition` on `node`. */
export interface ReplicaTarget {
  readonly node: string
  readonly partition: number
  /** A fallback stands in for the owner of the partition. */
  readonly role: 'primary' | 'fallback'
  /** Of the placement that named this place; 0 if unknown. */
  readonly epoch: number
}

export interface ReplicaCallOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * The replicas, near and far. A promise rejects with an `AtollError`: `definite` if the replica certainly did nothing.
 */
export interface Replicas {
  get(target: ReplicaTarget, id: KeyId, options: ReplicaGetOptions): Promise<ReplicaRead>
  /**
   * Merges a finished record, unless it is fresh. `onAccepted` is called when the replica has it in memory, before it
   * is durable.
   */
  put(target: ReplicaTarget, id: KeyId, record: StoredRecord, options: ReplicaPutOptions): Promise<ReplicaPut>
  /**
   * Lets the replica give the write its dot; answers with what it then holds once that is durable. `onDecided` may be called
   * with it before that, once, by a replica that never gives that dot again.
   */
  coordinate(
    target: ReplicaTarget,
    id: KeyId,
    write: CoordinatedWrite,
    options: ReplicaCoordinateOptions,
  ): Promise<ReplicaCoordinated>
  /**
   * Notes at a replica that has the record of a key, durably, that other holders miss it: they get it when they are
   * back.
   */
  hint(
    target: ReplicaTarget,
    id: KeyId,
    hintFor: readonly string[],
    options: ReplicaCallOptions,
  ): Promise<void>
  /** The next index entries of several vnodes of one node, merged. */
  scan(node: string, request: ReplicaScan, options: ReplicaCallOptions): Promise<ReplicaScanPage>
}

export interface ReplicaGetOptions extends ReplicaCallOptions {
  /** Whether the digest of the record will do; default false. A replica may answer with the record all the same. */
  readonly digestOnly?: boolean
}

export interface ReplicaRead {
  readonly record: StoredRecord | undefined
  readonly corrupt: boolean
  /** In place of the record (`headDigest`), only if that is asked for. */
  readonly digest?: Uint8Array | undefined
}

export interface CoordinatedWrite {
  readonly content: Content
  readonly valueCrc32: number
  readonly context: CausalContext | undefined
  readonly writeId: Uint8Array
  /**
   * Not if the replica may know of a write of the key that the context does not cover, or lacks one that it covers: then
   * it declines.
   */
  readonly ifAlone?: boolean
  /** Holders that miss the write, to be noted with it; default none. */
  readonly hintFor?: readonly string[] | undefined
}

export interface ReplicaCoordinateOptions extends ReplicaCallOptions {
  readonly onDecided?: ((record: StoredRecord) => void) | undefined
}

export interface ReplicaCoordinated {
  /** What the replica holds now; empty if it has declined. */
  readonly record: StoredRecord
  /** True if nothing was written, because of `ifAlone`. */
  readonly declined?: boolean | undefined
}

export interface ReplicaPutOptions extends ReplicaCallOptions {
  readonly onAccepted?: (() => void) | undefined
  /** Whether the answer shall say if the replica holds nothing else; default false. */
  readonly tellAlone?: boolean
  /** Whether it is a client's own write of a write-once type, which is written without a look; default false. */
  readonly isFresh?: boolean
  /** Whether the answer shall say which dots of the record stand for other writes there; default false. */
  readonly tellTwice?: boolean
  /** Holders that miss the write, to be noted with it; default none. */
  readonly hintFor?: readonly string[] | undefined
}

export interface ReplicaPut {
  /** False if the replica had all of it already. */
  readonly changed: boolean
  /** Only if asked for: true if the replica certainly knows of no write of the key that the record does not cover. */
  readonly alone?: boolean | undefined
  /** Only if asked for: actors of dots under which the replica held other writes than the record; it keeps both. */
  readonly twice?: readonly ActorId[] | undefined
  /** True if nobody looks at the bytes of the record's values any more on behalf of this call. Default nobody knows. */
  readonly released?: boolean | undefined
}

export interface ReplicaScanVnode {
  readonly partition: number
  readonly role: 'primary' | 'fallback'
  /** Those of which it shall answer the entries. */
  readonly slices: readonly number[]
}

export interface ReplicaScan {
  /** Of the ring that slices and vnodes are numbered by. */
  readonly partitions: number
  readonly vnodes: readonly ReplicaScanVnode[]
  /** Of the placement that the scan goes by; 0 if unknown. */
  readonly epoch: number
  readonly type: string
  readonly index: string
  readonly scope: Uint8Array
  readonly from: Uint8Array | undefined
  readonly to: Uint8Array | undefined
  readonly after: IndexPosition | undefined
  readonly limit: number
  /** Of a group the first entry is enough. A replica may answer more of them. */
  readonly groups: TermGroups | undefined
}

export interface IndexPosition {
  readonly term: Uint8Array
  readonly bucket: Uint8Array
  readonly key: Uint8Array
  /** That of the id, if it has one. */
  readonly place?: Uint8Array | undefined
}

export interface ReplicaScanPage {
  readonly entries: readonly ReplicaScanEntry[]
  readonly done: boolean
}

export interface ReplicaScanEntry extends IndexPosition {
  readonly slice: number
  readonly clockDigest: Uint8Array
  readonly payloads: readonly Uint8Array[]
}

/** What is believed about the other nodes. Only a belief: a call to a node that is up may still fail. */
export interface Liveness {
  isUp(node: string): boolean
  /** Dead is whom the others have given up too; suspect who only cannot be reached now. */
  statusOf(node: string): 'alive' | 'suspect' | 'dead'
}
