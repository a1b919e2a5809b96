import type { Clock, Digests, FencedDatabase, Log, Metrics, Random } from '@atoll/core'
import type { AbstractSnapshot } from 'abstract-level'

/** What this package needs of the world; any `Runtime` fits. */
export interface ValueLogRuntime {
  readonly clock: Pick<Clock, 'monotonicMs' | 'timer' | 'sleep'>
  readonly random: Pick<Random, 'bytes'>
  readonly digest: Pick<Digests, 'crc32'>
  readonly log: Log
  readonly metrics: Metrics
}

/**
 * What is used of the database below, whatever its default encodings: every `AbstractLevel` fits. A write with
 * `sync: true` must make all earlier writes durable too, where the database is permanent. Where it has `compactRange`
 * (classic-level), that is called first, since LevelDB does not sync a log that it has left. After a write that failed
 * it is given no other before it was closed, unless it says `safeAfterFailedWrite` or is not permanent.
 */
export interface InnerLevel extends FencedDatabase {
  readonly supports: {
    readonly explicitSnapshots: boolean
    readonly implicitSnapshots: boolean
    readonly permanence: boolean
    readonly getSync?: boolean
    readonly createIfMissing?: boolean
    readonly additionalMethods: Readonly<Record<string, boolean>>
  }
  open(options?: { readonly createIfMissing: boolean }): Promise<void>
  close(): Promise<void>
  get(key: Uint8Array, options: InnerReadOptions): Promise<Uint8Array | undefined>
  /** Used, where there is one, for single keys. */
  getSync?(key: Uint8Array, options: InnerReadOptions): Uint8Array | undefined
  getMany(keys: Uint8Array[], options: InnerReadOptions): Promise<(Uint8Array | undefined)[]>
  has(key: Uint8Array, options: InnerReadOptions): Promise<boolean>
  hasMany(keys: Uint8Array[], options: InnerReadOptions): Promise<boolean[]>
  /** The default encodings. */
  keyEncoding(): { readonly name: string }
  valueEncoding(): { readonly name: string }
  /** Begins a batch. (One of operations in an array costs classic-level three times as much.) */
  batch(): InnerBatch
  iterator(options: InnerRange): InnerIterator
  snapshot(): AbstractSnapshot
  /** How many bytes a range of keys takes on the disk, about. */
  approximateSize?(start: Uint8Array, end: Uint8Array, options: { keyEncoding: 'view' }): Promise<number>
  compactRange?(start: Uint8Array, end: Uint8Array, options: { keyEncoding: 'view' }): Promise<void>
}

export interface InnerEncodings {
  readonly keyEncoding: 'view'
  readonly valueEncoding: 'view'
}

export interface InnerReadOptions extends InnerEncodings {
  readonly snapshot?: AbstractSnapshot | undefined
}

/** Writes of the inner database: none of them counts before `write`, and then all do. */
export interface InnerBatch {
  put(key: Uint8Array, value: Uint8Array, encodings: Partial<InnerEncodings>): unknown
  del(key: Uint8Array, encodings: Partial<InnerEncodings>): unknown
  write(options: { readonly sync?: boolean }): Promise<void>
}

export interface InnerRange extends InnerReadOptions {
  readonly gt?: Uint8Array
  readonly gte?: Uint8Array
  readonly lt?: Uint8Array
  readonly lte?: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
  readonly keys?: boolean
  readonly values?: boolean
  /** How many bytes of entries one `nextv` reads, about, where the database knows that (classic-level). */
  readonly highWaterMarkBytes?: number
}

export type InnerEntry = [key: Uint8Array, value: Uint8Array]

export interface InnerIterator {
  nextv(size: number): Promise<InnerEntry[]>
  seek(target: Uint8Array, options: { keyEncoding: 'view' }): void
  close(): Promise<void>
}

/** Every call of the inner database is made with bytes. */
export const BYTES: InnerReadOptions = { keyEncoding: 'view', valueEncoding: 'view' }

/**
 * One directory that belongs to one value log. Errors are whatever the system throws; the value log wraps them.
 * Only bytes that were synced survive a crash, and a file survives only after `syncDirectory`.
 */
export interface Files {
  /** What the directory is called in messages. */
  readonly label: string
  /** The names in the directory; `undefined` if there is no directory. */
  list(): Promise<string[] | undefined>
  /** Creates the directory unless it exists, so that a power cut leaves it. */
  prepare(): Promise<void>
  /** The bytes of a small file; `undefined` if there is none. */
  readWhole(name: string): Promise<Uint8Array | undefined>
  /** Writes a small file durably: afterwards it is there as a whole, and never in part. */
  writeWhole(name: string, bytes: Uint8Array): Promise<void>
  /** Opens a file for reading and writing, and creates it if it is not there. */
  open(name: string): Promise<DataFile>
  /**
   * Opens a file that is there, so that a write is durable when it resolves: its bytes, and what it takes to find them, and
   * not those of other writes. Missing where the system has no such way; then a `sync` follows each write.
   */
  openDurable?(name: string): Promise<DurableFile>
  /** Removes a file; nothing happens if it is not there. */
  remove(name: string): Promise<void>
  /** Makes the creation of files durable. */
  syncDirectory(): Promise<void>
  /** How many bytes the file system would still take. */
  freeBytes(): Promise<number>
  /** How many bytes the files of the directory take on the disk; missing where nobody knows. */
  usedBytes?(): Promise<number>
}

/** A file of which each write is durable when it resolves. */
export type DurableFile = Pick<DataFile, 'write' | 'close'>

export interface DataFile {
  /** Reads up to `target.length` bytes from `position` on; returns how many there were. */
  read(target: Uint8Array, position: number): Promise<number>
  /** As `read`, while everyone waits: used for a few bytes that are likely to be in memory, where there is such a way. */
  readSync?(target: Uint8Array, position: number): number
  /** Writes the buffers one after the other from `position` on, all of them. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>
  /** Sets the size; new bytes read as zero. */
  truncate(sizeBytes: number): Promise<void>
  /** Makes all bytes written so far durable. */
  sync(): Promise<void>
  close(): Promise<void>
}
