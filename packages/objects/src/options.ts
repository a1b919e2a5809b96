import { checkInteger, checkKnown, HOUR_MS, KiB, MINUTE_MS, MiB, SECOND_MS } from '@atoll/core'

export interface ObjectStoreOptions {
  /** Size of a block, 4 KiB to 8 MiB; default 1 MiB. Each object remembers its own, so it may be changed at any time. */
  readonly blockBytes?: number
  /** Bodies of up to this many bytes live in the manifest and cost no block, 0 to 256 KiB; default 16 KiB. */
  readonly inlineBytes?: number
  /** Blocks of one upload being written at the same time, 1 to 64; default 4. One more is being filled meanwhile. */
  readonly writeConcurrency?: number
  /** Blocks of one download being read ahead of the reader, 1 to 64; default 4. */
  readonly readAhead?: number
  /**
   * Blocks on their way to the replicas at the same time, over all uploads, 1 to 1024; default 32. With one block that
   * each upload is filling, this bounds the memory of uploads, however many there are.
   */
  readonly maxBlocksWriting?: number
  /**
   * Blocks read ahead at the same time, over all downloads, 1 to 1024; default 32. With one block that each download
   * is waiting for or handing out, this bounds the memory of downloads.
   */
  readonly maxBlocksReadAhead?: number
  /** Longest key in bytes of UTF-8, 1 to 4000; default 1024, as S3 has it. */
  readonly maxKeyBytes?: number
  /** Most bytes of UTF-8 in the names and values of an object's own metadata, 0 to 64 KiB; default 8 KiB. */
  readonly maxMetadataBytes?: number
  /** Largest object in bytes; default and most 1 048 576 blocks, since a manifest holds 4 bytes for each. */
  readonly maxObjectBytes?: number
  /**
   * Versions of one object, with those that wait for collection and uploads in progress, 10 to 100 000; default 1000.
   * Past it writes of that key answer ATOLL_OVERLOADED until `collect` has run.
   */
  readonly maxVersions?: number
  /**
   * How long `collect` spares an upload after its last sign of life, 1 s to 7 days; default 6 hours.
   * An upload whose body delivers nothing for more than half of that time fails. So two clocks may differ by the other half.
   */
  readonly leaseMs?: number
  /**
   * How long a block that cannot be written or read for a passing reason is tried again, 0 to 10 minutes; default 30 s. It
   * keeps its place among the blocks under way meanwhile. Where no disk has room for it, 1 s at most.
   */
  readonly blockPatienceMs?: number
  /**
   * How far ahead of the clocks of the cluster a time stamp may be for `collect` to use it, 1 s to 7 days; default 1
   * hour. For what was deleted, overwritten or uploaded by a clock that was further ahead, the time begins when a
   * collection first sees it.
   */
  readonly clockSkewMs?: number
  /** Objects of which `collect` deletes blocks at the same time, 1 to 64; default 4. */
  readonly collectConcurrency?: number
}

export type ObjectStoreSettings = Required<ObjectStoreOptions>

const MAX_BLOCKS = 1_048_576
/** The longest lease that a store may give its uploads. Those of others are not known to a collection. */
export const LONGEST_LEASE_MS = 7 * 24 * HOUR_MS

const DEFAULTS: Omit<ObjectStoreSettings, 'maxObjectBytes'> = {
  blockBytes: MiB,
  inlineBytes: 16 * KiB,
  writeConcurrency: 4,
  readAhead: 4,
  maxBlocksWriting: 32,
  maxBlocksReadAhead: 32,
  maxKeyBytes: 1024,
  maxMetadataBytes: 8 * KiB,
  maxVersions: 1000,
  leaseMs: 6 * HOUR_MS,
  blockPatienceMs: 30 * SECOND_MS,
  clockSkewMs: HOUR_MS,
  collectConcurrency: 4,
}

const CONCURRENCY = { min: 1, max: 64 }
const SHARED_CONCURRENCY = { min: 1, max: 1024 }

/** Fills in the defaults. Throws `TypeError` or `RangeError` naming the option, its value and what was expected. */
export function validateObjectStoreOptions(options: ObjectStoreOptions): ObjectStoreSettings {
  checkKnown('object store options', options, [...Object.keys(DEFAULTS), 'maxObjectBytes'])
  const given = { ...DEFAULTS, ...options }
  checkInteger('blockBytes', given.blockBytes, { min: 4 * KiB, max: 8 * MiB })
  checkInteger('inlineBytes', given.inlineBytes, { min: 0, max: 256 * KiB })
  checkInteger('writeConcurrency', given.writeConcurrency, CONCURRENCY)
  checkInteger('readAhead', given.readAhead, CONCURRENCY)
  checkInteger('maxBlocksWriting', given.maxBlocksWriting, SHARED_CONCURRENCY)
  checkInteger('maxBlocksReadAhead', given.maxBlocksReadAhead, SHARED_CONCURRENCY)
  checkInteger('maxKeyBytes', given.maxKeyBytes, { min: 1, max: 4000 })
  checkInteger('maxMetadataBytes', given.maxMetadataBytes, { min: 0, max: 64 * KiB })
  checkInteger('maxVersions', given.maxVersions, { min: 10, max: 100_000 })
  checkInteger('leaseMs', given.leaseMs, { min: SECOND_MS, max: LONGEST_LEASE_MS })
  checkInteger('blockPatienceMs', given.blockPatienceMs, { min: 0, max: 10 * MINUTE_MS })
  checkInteger('clockSkewMs', given.clockSkewMs, { min: SECOND_MS, max: 7 * 24 * HOUR_MS })
  checkInteger('collectConcurrency', given.collectConcurrency, CONCURRENCY)
  const mostBytes = given.blockBytes * MAX_BLOCKS
  const maxObjectBytes = given.maxObjectBytes ?? mostBytes
  checkInteger('maxObjectBytes', maxObjectBytes, { min: 0, max: mostBytes })
  return { ...given, maxObjectBytes }
}

export interface LevelKvStoreOptions {
  /** Writes in progress, 1 to 1 000 000; past it ATOLL_OVERLOADED. Default 10 000. */
  readonly maxWrites?: number
}

/** Fills in the defaults. Throws `TypeError` or `RangeError` naming the option, its value and what was expected. */
export function validateLevelKvStoreOptions(options: LevelKvStoreOptions): Required<LevelKvStoreOptions> {
  checkKnown('level key-value store options', options, ['maxWrites'])
  const { maxWrites = 10_000 } = options
  return { maxWrites: checkInteger('maxWrites', maxWrites, { min: 1, max: 1_000_000 }) }
}
