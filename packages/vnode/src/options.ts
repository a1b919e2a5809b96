import { checkInteger, checkKnown, KiB, MiB } from '@atoll/core'
import { checkNodeName, checkPartitions } from '@atoll/ring'

export interface VnodeHostOptions {
  /** The node that the vnodes belong to: 1 to 64 characters of `a-z A-Z 0-9 . _ -`. */
  readonly node: string
  /** Partitions of the ring, a power of two from 8 to 1024. */
  readonly partitions: number
  /** Writes under way at a time; one more is refused as overload. Default 10 000. */
  readonly queueWrites?: number
  /** Bytes of values of the writes under way; past it a write is refused as overload. Default 128 MiB. */
  readonly queueBytes?: number
  /** Writes of one key that wait for their turn; one more is refused as overload. Default 1000. */
  readonly keyWrites?: number
  /** Operations of one batch of the database; a single write may exceed it. Default 4096. */
  readonly batchOperations?: number
  /** Bytes of one batch of the database; a single write may exceed it. Default 16 MiB. */
  readonly batchBytes?: number
  /**
   * Bytes of one record with all its siblings, as clients may make it by a write; a larger one is refused as too large,
   * unless it was as large before. It travels as the body of one frame, so this stays within `maxBodyBytes` of the
   * transport. What is merged of such records may be larger, and travels as a stream. Default 8 MiB.
   */
  readonly recordBytes?: number
  /**
   * Bytes of values that are stored with the head of their record; more lie apart from it, and are read only by those who
   * want them. Up to so many, a value log reads both as fast as it looks for the second. Default 16 KiB.
   */
  readonly inlineBytes?: number
  /** Bytes of the entries of one page of a scan; a page ends early rather than exceed it. A page travels in the head of one
   * frame, so this stays below `maxHeadBytes` of the transport. Default 512 KiB. */
  readonly scanBytes?: number
  /**
   * Keys that are noted for one other node because it missed their records, while it was away; past it whole partitions
   * are, of which every record is offered to it. Default 100 000.
   */
  readonly hintKeys?: number
  /**
   * Keys of which the digest of the record is kept in memory, so that reads which only compare need no look at the disk:
   * those that were asked for last. Some 300 bytes each. Default 16 384.
   */
  readonly headDigests?: number
}

const LIMITS = {
  queueWrites: 10_000,
  queueBytes: 128 * MiB,
  keyWrites: 1000,
  batchOperations: 4096,
  batchBytes: 16 * MiB,
  recordBytes: 8 * MiB,
  inlineBytes: 16 * KiB,
  scanBytes: 512 * KiB,
  hintKeys: 100_000,
  headDigests: 16_384,
} as const satisfies Partial<VnodeHostOptions>

const MAX_LIMIT = 2 ** 31 - 1

export function validateVnodeHostOptions(options: VnodeHostOptions): Required<VnodeHostOptions> {
  checkKnown('vnodes options', options, ['node', 'partitions', ...Object.keys(LIMITS)])
  const limit = (name: keyof typeof LIMITS) =>
    checkInteger(name, options[name] ?? LIMITS[name], { min: 1, max: MAX_LIMIT })
  return {
    node: checkNodeName('node', options.node),
    partitions: checkPartitions(options.partitions),
    queueWrites: limit('queueWrites'),
    queueBytes: limit('queueBytes'),
    keyWrites: limit('keyWrites'),
    batchOperations: limit('batchOperations'),
    batchBytes: limit('batchBytes'),
    recordBytes: limit('recordBytes'),
    inlineBytes: limit('inlineBytes'),
    scanBytes: limit('scanBytes'),
    hintKeys: limit('hintKeys'),
    headDigests: limit('headDigests'),
  }
}
