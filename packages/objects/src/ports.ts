import type { FencedDatabase, KeyId, TermGroups } from '@atoll/core'
import type { AbstractBatchOptions, AbstractGetOptions, AbstractIteratorOptions } from 'abstract-level'
import type { ReadQuorumOptions, WriteQuorumOptions } from './quorums.ts'

/**
 * The key-value store under the objects. A coordinator fits it as it is; `LevelKvStore` is one over a plain
 * abstract-level database. Types used: see `KV_TYPES`, which says what each must be created with.
 */
export interface KvStore {
  get(id: KeyId, options?: KvGetOptions): Promise<KvStoreRead>
  /** Resolves when the write is durable. Without a context it stands beside whatever is there. */
  put(id: KeyId, write: KvStoreWrite, options?: KvPutOptions): Promise<KvStoreWritten>
  /** Without a context it deletes what is there now. A key that is not there is no error. */
  delete(id: KeyId, options?: KvPutOptions & { readonly context?: Uint8Array | undefined }): Promise<unknown>
  scan(scan: KvStoreScan, options?: KvScanOptions): Promise<KvStoreScanPage>
  /** The types that there are, each with the kind of its merge policy. A store without this has those of `KV_TYPES`. */
  types?(): Iterable<readonly [type: string, policy: string]>
}

/** A store without replicas has no use for quorums. */
export interface KvPutOptions extends WriteQuorumOptions {
  readonly signal?: AbortSignal | undefined
}

export interface KvScanOptions extends ReadQuorumOptions {
  readonly signal?: AbortSignal | undefined
}

export interface KvGetOptions extends ReadQuorumOptions {
  readonly signal?: AbortSignal | undefined
  /** For blocks: whether a replica's value is the right one; one that is refused is healed from another. */
  readonly accept?: ((value: KvStoreValue) => boolean) | undefined
  /**
   * For blocks: that something names the key, so that it was written. A store of several replicas takes it for absent only
   * if everybody has said so who may hold it, and else throws `ATOLL_QUORUM_UNMET`.
   */
  readonly known?: boolean
  /**
   * Not for blocks: whether the values are what is looked for; default that there is one. A store of several replicas
   * answers others only where they may be taken for absence, and else throws `ATOLL_QUORUM_UNMET`.
   */
  readonly shows?: ((values: readonly KvStoreValue[]) => boolean) | undefined
  /** Asks every replica, not only as many as an answer needs, so that each that lacks the value is healed. */
  readonly repair?: boolean
}

/** The other stores over the same key-value store, as far as this one has to know of them. */
export interface StorePeers {
  /** Whether there are any. */
  areThere(): boolean
  /**
   * Whether each of them reads records of buckets with ids. One of a build before would look for the objects of such a
   * bucket under its name, and create it without an id.
   */
  readIds(options?: { readonly signal?: AbortSignal | undefined }): Promise<boolean>
}

/** The wall clocks of a cluster. */
export interface ClusterClocks {
  read(options?: { readonly signal?: AbortSignal | undefined }): Promise<ClockReadings>
}

export interface ClockReadings {
  /** How many members have a clock that counts. */
  readonly members: number
  /** What those say that answer, this node's own among them, in milliseconds. */
  readonly wallMs: readonly number[]
}

export interface KvStoreValue {
  readonly value: Uint8Array
  /** CRC-32 of the value. The store has compared it with the bytes where it read them. */
  readonly valueCrc32: number
}

export interface KvStoreRead {
  /** No value: absent. Several: written concurrently. */
  readonly values: readonly KvStoreValue[]
  readonly context: Uint8Array | undefined
}

export interface KvStoreWrite {
  readonly value: Uint8Array
  readonly valueCrc32?: number | undefined
  /** For blocks: 16 bytes, the same for every try to write one, so that replicas hold the same whichever they took. */
  readonly writeId?: Uint8Array | undefined
  /**
   * Called once nobody looks at the bytes of the value any more: from then on they may change. A store that cannot tell
   * never calls it.
   */
  readonly onReleased?: (() => void) | undefined
  readonly indexes?: readonly KvIndexEntry[] | undefined
  readonly context?: Uint8Array | undefined
  /**
   * Declines if something seems to be there that the context does not cover: then nothing is written, and `accepted` is 0.
   * Saves a read where mostly nothing is there. No lock: writes at the same time may all succeed. Default false.
   */
  readonly ifAlone?: boolean
  /**
   * Declines unless the record is exactly what the context has seen: so says with `one` a primary, which begins the
   * write, and with `all` each of them, or `alone` is false. So of two writes over the same context, one with `one` and
   * one with `all`, never both count as done, whatever else fails. Declines also if what the context has seen is not
   * there any more.
   */
  readonly ifUnchanged?: 'one' | 'all' | undefined
}

export interface KvStoreWritten {
  /** Replicas that have the write; 0 if it was declined. */
  readonly accepted: number
  /** Of those that keep the key by the list of its partition, how many had it on disk when the write was answered. */
  readonly primaries: number
  /** Covers the write and all that it met; undefined for blocks. */
  readonly context: Uint8Array | undefined
  /**
   * Only with `ifAlone` or `ifUnchanged`: true if the write met nothing that its context did not cover, as far as a read
   * would have told, or with `all` every primary.
   */
  readonly alone: boolean
}

export interface KvIndexEntry {
  readonly index: string
  readonly scope: Uint8Array
  readonly term: Uint8Array
  readonly payload: Uint8Array
}

export interface KvStoreScan {
  readonly type: string
  readonly index: string
  readonly scope: Uint8Array
  /** Terms from this one on, inclusive. */
  readonly from?: Uint8Array | undefined
  /** Terms before this one. */
  readonly to?: Uint8Array | undefined
  /** `next` of the page before. */
  readonly after?: Uint8Array | undefined
  /** 1 to 10 000, default 1000. */
  readonly limit?: number
  /** Of the terms of one group the first entry is enough: what else a store answers of them is passed over. */
  readonly groups?: TermGroups | undefined
}

export interface KvStoreScanPage {
  /** In the order of (term, bucket, key). May be fewer than the limit, even none, with more to come after `next`. */
  readonly entries: readonly KvStoreScanEntry[]
  /** Where the next page starts; undefined after the last. */
  readonly next: Uint8Array | undefined
}

export interface KvStoreScanEntry {
  readonly term: Uint8Array
  readonly bucket: Uint8Array
  readonly key: Uint8Array
  /** Of all siblings that carry the term. */
  readonly payloads: readonly Uint8Array[]
}

/**
 * What `LevelKvStore` uses of an abstract-level database, whatever its default encodings: every `AbstractLevel` with
 * binary keys and values fits. Written out because `AbstractLevel<F, K, V>` is not assignable between encodings.
 */
export interface LevelDatabase extends FencedDatabase {
  get(key: Uint8Array, options: AbstractGetOptions<Uint8Array, Uint8Array>): Promise<Uint8Array | undefined>
  batch(
    operations: LevelOperation[],
    options: AbstractBatchOptions<Uint8Array, Uint8Array> & { readonly sync: boolean },
  ): Promise<void>
  iterator(options: AbstractIteratorOptions<Uint8Array, Uint8Array>): {
    all(): Promise<[Uint8Array, Uint8Array][]>
  }
}

export type LevelOperation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }
