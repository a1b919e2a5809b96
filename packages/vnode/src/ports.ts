import type { AtollError, CompactOptions, DirectoryUsage, FencedDatabase } from '@atoll/core'
import type { AbstractSnapshot } from 'abstract-level'

/**
 * What Atoll uses of an abstract-level database, whatever its default encodings: every `AbstractLevel` with binary
 * keys and values fits. Written out because `AbstractLevel<F, K, V>` is not assignable between different encodings.
 */
export interface Database {
  readonly status: 'opening' | 'open' | 'closing' | 'closed'
  readonly supports: {
    readonly explicitSnapshots: boolean
    readonly implicitSnapshots: boolean
    readonly permanence: boolean
    readonly seek: boolean
    readonly getSync?: boolean
  }
  /** The database that a sublevel is a part of. */
  readonly parent?: FencedDatabase | null
  /**
   * True if a write that comes after a failed one is as safe as any other, as those of a value log are. Where it is missing,
   * a database that keeps its data takes no write after a failed one until it was closed and opened again.
   */
  readonly safeAfterFailedWrite?: boolean
  open(options?: { readonly createIfMissing?: boolean; readonly errorIfExists?: boolean }): Promise<void>
  close(): Promise<void>
  once?(event: 'closed', listener: () => void): unknown
  keyEncoding(name: 'view'): { readonly format: string }
  get(key: Uint8Array, options: ReadOptions): Promise<Uint8Array | undefined>
  /** Used, where `supports` has it too, of a database in memory, which waits for no disk. */
  getSync?(key: Uint8Array, options: ReadOptions): Uint8Array | undefined
  /**
   * What a value log has: the value with its CRC-32, where that is known without reading the value again; at once, without
   * a promise, where nothing has to be waited for.
   */
  findSummed?(key: Uint8Array): SummedBytes | undefined | Promise<SummedBytes | undefined>
  batch(operations: Operation[], options: BatchOptions): Promise<void>
  /**
   * What a value log has: as `batch`, for values in two parts, of which it copies none, and for batches that do not
   * wait.
   */
  batchBytes?(operations: readonly Operation[], options: BytesBatchOptions): Promise<void>
  /** What a value log has: what its directories take. */
  space?(): Promise<readonly DirectoryUsage[]>
  /** What a value log has: gives space back at once. */
  compact?(options: CompactOptions): Promise<void>
  /** What a value log has: false while the disk has no more room than is kept for writes that make room. */
  hasRoom?(): boolean
  iterator(options: RangeOptions): DatabaseIterator<[Uint8Array, Uint8Array]>
  keys(options: RangeOptions): DatabaseIterator<Uint8Array>
  clear(options: Pick<RangeOptions, 'keyEncoding' | 'gte' | 'lt'>): Promise<void>
  snapshot(): AbstractSnapshot
}

export interface SummedBytes {
  readonly value: Uint8Array
  readonly crc32: number | undefined
}

export interface BinaryEncodings {
  readonly keyEncoding: 'view'
  readonly valueEncoding: 'view'
}

export interface ReadOptions extends BinaryEncodings {
  readonly snapshot?: AbstractSnapshot | undefined
}

export interface RangeOptions extends ReadOptions {
  readonly gte: Uint8Array
  readonly lt?: Uint8Array
  readonly limit?: number
}

/** `sync` reaches databases that know it, and is ignored by those without a disk. */
export interface BatchOptions extends BinaryEncodings {
  readonly sync: boolean
  /** For a value log: every operation says what it replaces, and one that does not replaces nothing large. Default false. */
  readonly tellsReplaced?: boolean
}

export interface BytesBatchOptions {
  readonly sync: boolean
  readonly tellsReplaced: boolean
  /**
   * The batches that are written with one object build on each other. Once one of them has failed the database fails
   * all that come later, and writes none of them.
   */
  readonly chain: { failure?: AtollError | undefined }
}

export type Operation =
  | {
      readonly type: 'put'
      readonly key: Uint8Array
      readonly value: Uint8Array
      /** The rest of the value and its CRC-32: only for a database with `batchBytes`. */
      readonly tail?: Uint8Array | undefined
      readonly tailCrc32?: number | undefined
      /** How many bytes the value may have that this one replaces: a value log knows by it what is dead. */
      readonly replacesBytes?: number | undefined
    }
  | { readonly type: 'del'; readonly key: Uint8Array; readonly replacesBytes?: number | undefined }

export interface DatabaseIterator<Item> {
  nextv(size: number): Promise<Item[]>
  seek(target: Uint8Array, options: { readonly keyEncoding: 'view' }): void
  close(): Promise<void>
}
