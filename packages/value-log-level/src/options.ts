import { checkInteger, checkKnown, describe, GiB, KiB, MiB, wrongRange, wrongType } from '@atoll/core'

export interface ValueLogOptions {
  /** Values of at least this many bytes live in the log instead of the inner database. Default 4 KiB. */
  readonly thresholdBytes?: number
  /** Size of a segment file, fixed when it is created. Default 64 MiB. */
  readonly segmentBytes?: number
  /**
   * Segment files made ready when the database opens, each byte touched once, so that later writes are rewrites.
   * Default 0.
   */
  readonly preallocateBytes?: number
  /**
   * How much space in free segments is kept for later writes at most; the rest is given back. Default 256 MiB. It is kept
   * while as much is written, and given back, down to `preallocateBytes`, when little is.
   */
  readonly reserveBytes?: number
  /**
   * How much room of the disk is kept for what deletes, collects, compacts and opens: see `hasRoom`. Compaction needs as
   * much as a segment has in use. Default 72 MiB, which is a segment and 8 MiB.
   */
  readonly spareBytes?: number
  /** How much log may have to be read again after a crash, about. Default 256 MiB. */
  readonly checkpointBytes?: number
  /**
   * Writes are gathered up to this many bytes, which then share one write and one sync. Default 4.5 MiB, which is four
   * values of 1 MiB: as long as the sums of these take, the disk takes to sync four others.
   */
  readonly groupBytes?: number
  /** The largest batch, keys and values together. Default 1 GiB. Past it: `ATOLL_TOO_LARGE`. */
  readonly maxBatchBytes?: number
  /** How many bytes of batches may wait for the disk. Default 512 MiB. Past it: `ATOLL_OVERLOADED`. */
  readonly maxPendingBytes?: number
  /** How long a write with `sync: false` may wait for its sync, in milliseconds. Default 50. */
  readonly flushDelayMs?: number
  /** A segment is compacted when at most this share of it, 0 to 1, is still in use. Default 0.5. */
  readonly compactAtLiveShare?: number
  /**
   * How fast compaction copies at most, in bytes per second. Default 128 MiB. While others use the disk, and for half a
   * second after that was seen, it copies at a sixteenth of it, unless that was asked for, the disk has too little
   * room, or more is dead than is in use, and a GiB or more.
   */
  readonly compactBytesPerSecond?: number
  /**
   * After how long, in milliseconds, it is looked whether little was written, so that free segments are given back, and that
   * the segment being written is left if little of it is in use. Default 5000.
   */
  readonly idleMs?: number
  /** How many segment files are open at a time, about. Default 256. */
  readonly maxOpenFiles?: number
}

export type ValueLogSettings = Required<ValueLogOptions>

export const VALUE_LOG_DEFAULTS: ValueLogSettings = {
  thresholdBytes: 4 * KiB,
  segmentBytes: 64 * MiB,
  preallocateBytes: 0,
  reserveBytes: 256 * MiB,
  spareBytes: 72 * MiB,
  checkpointBytes: 256 * MiB,
  groupBytes: 4.5 * MiB,
  maxBatchBytes: GiB,
  maxPendingBytes: 512 * MiB,
  flushDelayMs: 50,
  compactAtLiveShare: 0.5,
  compactBytesPerSecond: 128 * MiB,
  idleMs: 5000,
  maxOpenFiles: 256,
}

const LIMITS: Readonly<Record<Exclude<keyof ValueLogSettings, 'compactAtLiveShare'>, [number, number]>> = {
  thresholdBytes: [1, GiB],
  segmentBytes: [64 * KiB, 4 * GiB],
  preallocateBytes: [0, Number.MAX_SAFE_INTEGER],
  reserveBytes: [0, Number.MAX_SAFE_INTEGER],
  spareBytes: [0, Number.MAX_SAFE_INTEGER],
  checkpointBytes: [64 * KiB, Number.MAX_SAFE_INTEGER],
  groupBytes: [4 * KiB, GiB],
  maxBatchBytes: [KiB, 4 * GiB],
  maxPendingBytes: [KiB, Number.MAX_SAFE_INTEGER],
  flushDelayMs: [0, 60_000],
  compactBytesPerSecond: [KiB, Number.MAX_SAFE_INTEGER],
  idleMs: [1, 3_600_000],
  maxOpenFiles: [4, 1_000_000],
}

/** The options with their defaults. Throws `TypeError` or `RangeError`, naming the value and what was expected. */
export function validateValueLogOptions(options: ValueLogOptions): ValueLogSettings {
  checkKnown('valueLog', options, Object.keys(VALUE_LOG_DEFAULTS))
  const settings = { ...VALUE_LOG_DEFAULTS, ...options }
  const check = (name: keyof typeof LIMITS) =>
    checkInteger(name, settings[name], { min: LIMITS[name][0], max: LIMITS[name][1] })
  return {
    thresholdBytes: check('thresholdBytes'),
    segmentBytes: check('segmentBytes'),
    preallocateBytes: check('preallocateBytes'),
    reserveBytes: check('reserveBytes'),
    spareBytes: check('spareBytes'),
    checkpointBytes: check('checkpointBytes'),
    groupBytes: check('groupBytes'),
    maxBatchBytes: check('maxBatchBytes'),
    maxPendingBytes: check('maxPendingBytes'),
    flushDelayMs: check('flushDelayMs'),
    compactAtLiveShare: checkShare('compactAtLiveShare', settings.compactAtLiveShare),
    compactBytesPerSecond: check('compactBytesPerSecond'),
    idleMs: check('idleMs'),
    maxOpenFiles: check('maxOpenFiles'),
  }
}

function checkShare(name: string, value: unknown): number {
  if (typeof value !== 'number') throw wrongType(name, `must be a number, got ${describe(value)}`)
  if (value >= 0 && value <= 1) return value
  throw wrongRange(name, `must be from 0 to 1, got ${value}`)
}
