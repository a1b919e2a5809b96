import type { AtollError } from '@atoll/core'
import type { AbstractSnapshot } from 'abstract-level'

export interface LogWriteOptions {
  /** Acknowledge the write when it is durable. Default false: when it is with the operating system. */
  readonly sync?: boolean
  /**
   * True if every operation says what it replaces: then one without `replacesBytes` replaces nothing large, and none is
   * looked for. Default false.
   */
  readonly tellsReplaced?: boolean | undefined
}

/**
 * Batches that build on each other, and do not wait for each other: all that are written with the same object. Once one
 * of them has failed, those that come later fail as well, definitely, and none of them is written. Begin a new chain
 * then.
 */
export interface BatchChain {
  /** Why one of them failed, set as soon as it has. */
  failure?: AtollError | undefined
}

export interface BytesBatchOptions extends LogWriteOptions {
  /** What the batch builds on; default nothing. */
  readonly chain?: BatchChain | undefined
}

export interface ReadOptions {
  readonly snapshot?: AbstractSnapshot | undefined
}

/** Options of `getRange`. */
export interface GetRangeOptions extends ReadOptions {
  /** The first byte. Default 0. */
  readonly start?: number
  /** Behind the last byte. Default, and at most, the length of the value. */
  readonly end?: number
}

/** A value, and its CRC-32 if the value log knows it without reading the value again. */
export interface SummedValue {
  readonly value: Uint8Array
  /** CRC-32 (as in zlib) of all of the value; undefined for a small value. */
  readonly crc32: number | undefined
}

/** An operation in bytes. */
export type BytesOperation =
  | {
      readonly type: 'put'
      readonly key: Uint8Array
      readonly value: Uint8Array
      /**
       * The rest of the value. Both parts are written from where they are, and must not change until the batch is
       * acknowledged.
       */
      readonly tail?: Uint8Array | undefined
      /** CRC-32 (as in zlib) of the tail. With it, a tail that several logs of a process write is summed once for all. */
      readonly tailCrc32?: number | undefined
      /**
       * How many bytes the value may have that this one replaces, as far as the writer knows. If that is a large one the log
       * looks for it, and knows at once that it is dead; otherwise it finds out in time.
       */
      readonly replacesBytes?: number | undefined
    }
  | { readonly type: 'del'; readonly key: Uint8Array; readonly replacesBytes?: number | undefined }

/** What a value log takes. */
export interface ValueLogUsage {
  /** Bytes of large values in use, about, as they lie in the log. */
  readonly liveBytes: number
  /**
   * Bytes that were written and that nothing uses, about: values that are gone, and what else was in the log beside large
   * values.
   */
  readonly deadBytes: number
  /** Bytes that are free to be written, in free segments and behind the end of the log. */
  readonly freeBytes: number
  /** Size of all segment files. */
  readonly diskBytes: number
  readonly segments: number
  /** Segments that are free to be written again. */
  readonly freeSegments: number
}
