import { checkBoolean, checkInteger, checkKnown, describe, MiB, wrongType } from '@atoll/core'

export interface WorldOptions {
  /** What everything is drawn from. */
  readonly seed: number | string
  /** What the wall clocks show at the beginning, in ms since 1970. Default 1_700_000_000_000 (November 2023). */
  readonly startWallMs?: number
  /** How much later than asked a timer may fire at most, in ms; every timer draws its own. Default 0. */
  readonly timerSlackMs?: number
  /** How many of the last notes are kept for reports. Default 200. */
  readonly timelineLines?: number
  /** What disks are made of, where `disk` is not told otherwise. */
  readonly disk?: DiskOptions
}

export interface DiskOptions {
  /** Time of a read, in microseconds. Default 50 to 200. */
  readonly readMicros?: MicrosRange
  /** Time of a write that is not synced, in microseconds. Default 20 to 100. */
  readonly writeMicros?: MicrosRange
  /** Time of a synced write, in microseconds. Default 200 to 1000: fdatasync of 4 KiB took 240 to 410 on our machine. */
  readonly syncMicros?: MicrosRange
  /** Bytes that go through in a millisecond. Default 1 MiB. */
  readonly bytesPerMs?: number
  /**
   * Batches that may wait for a sync; the oldest is durable when one more comes, as an operating system writes back by
   * itself. Default 1000.
   */
  readonly maxUnsynced?: number
  /**
   * Whether a failed write leaves half a record in the log, as one of LevelDB does: what is written after it is
   * acknowledged and can be read, and is gone when the database is opened again. Default false: a failed write leaves
   * nothing behind.
   */
  readonly tornByFailure?: boolean
}

export interface MicrosRange {
  readonly min: number
  readonly max: number
}

export interface RunLimits {
  /** Virtual time that the run may take, in ms. Default ten minutes: a test is told so before its runner gives it up. */
  readonly maxVirtualMs?: number
  /** Events that the run may take. Default 10 million. */
  readonly maxEvents?: number
  /**
   * Whether `setTimeout`, `Date.now`, `Math.random` and their like may be called in the run, by anybody but a test runner.
   * They break the seed: so by default the call throws and the run fails, with a message that says which and where.
   */
  readonly realTime?: 'refused' | 'allowed'
}

const DISK_DEFAULTS: Required<DiskOptions> = {
  readMicros: { min: 50, max: 200 },
  writeMicros: { min: 20, max: 100 },
  syncMicros: { min: 200, max: 1000 },
  bytesPerMs: MiB,
  maxUnsynced: 1000,
  tornByFailure: false,
}

/** Throws `TypeError` or `RangeError`, naming the option. */
export function validateWorldOptions(options: WorldOptions): Required<WorldOptions> {
  checkKnown('createWorld', options, ['seed', 'startWallMs', 'timerSlackMs', 'timelineLines', 'disk'])
  const { seed, startWallMs = 1_700_000_000_000, timerSlackMs = 0, timelineLines = 200 } = options
  if (typeof seed !== 'string' && !Number.isSafeInteger(seed)) {
    throw wrongType('seed', `must be a safe integer or a string, got ${describe(seed)}`)
  }
  return {
    seed,
    startWallMs: checkInteger('startWallMs', startWallMs, { min: 0, max: 8.64e15 }),
    timerSlackMs: checkInteger('timerSlackMs', timerSlackMs, { min: 0, max: 60_000 }),
    timelineLines: checkInteger('timelineLines', timelineLines, { min: 1, max: 1_000_000 }),
    disk: validateDiskOptions(options.disk ?? {}),
  }
}

/** Throws `TypeError` or `RangeError`, naming the option. Options that are left out come from `base`. */
export function validateDiskOptions(
  options: DiskOptions,
  base: DiskOptions = DISK_DEFAULTS,
): Required<DiskOptions> {
  checkKnown('disk', options, Object.keys(DISK_DEFAULTS))
  const merged = { ...DISK_DEFAULTS, ...base, ...options }
  for (const name of ['readMicros', 'writeMicros', 'syncMicros'] as const) {
    const { min, max } = merged[name]
    checkInteger(`${name}.min`, min, { min: 0, max: 1e9 })
    checkInteger(`${name}.max`, max, { min, max: 1e9 })
  }
  checkInteger('bytesPerMs', merged.bytesPerMs, { min: 1, max: Number.MAX_SAFE_INTEGER })
  checkBoolean('tornByFailure', merged.tornByFailure)
  checkInteger('maxUnsynced', merged.maxUnsynced, { min: 0, max: 1_000_000 })
  return merged
}
