import { checkInteger, checkKnown, GiB, HOUR_MS, MiB } from '@atoll/core'

export interface CoordinatorOptions {
  /** Longest that a call may take unless it says otherwise, in milliseconds; default 10 000. */
  readonly timeoutMs?: number
  /**
   * How long one replica may take where another could be asked instead: to coordinate a write, to answer a part of a
   * scan. In milliseconds; default 3000, as Riak's `put_coordinator_failure_timeout`.
   */
  readonly attemptTimeoutMs?: number
  /** Calls in progress, with what they still do after their answer; past it ATOLL_OVERLOADED. Default 10 000. */
  readonly maxRequests?: number
  /** Repairs in flight. One that finds no room is left to the next read or to anti-entropy. Default 64. */
  readonly maxRepairs?: number
  /** Keys that one scan reads at the same time where replicas differ; default 16. */
  readonly maxScanReads?: number
  /** When a write-once read asks a second replica of a node never heard of before, in milliseconds; default 50. */
  readonly hedgeStartMs?: number
  /** Shortest wait before a hedge, in milliseconds, so that a fast node is not asked in vain; default 2. */
  readonly hedgeMinMs?: number
  /** Longest wait before a hedge, in milliseconds; default 1000. */
  readonly hedgeMaxMs?: number
  /** Bytes of records kept from earlier reads, for replicas to confirm in place of sending them; default 8 MiB. */
  readonly recentBytes?: number
}

export type CoordinatorSettings = Required<CoordinatorOptions>

const DEFAULTS: CoordinatorSettings = {
  timeoutMs: 10_000,
  attemptTimeoutMs: 3000,
  maxRequests: 10_000,
  maxRepairs: 64,
  maxScanReads: 16,
  hedgeStartMs: 50,
  hedgeMinMs: 2,
  hedgeMaxMs: 1000,
  recentBytes: 8 * MiB,
}

const COUNT = { min: 1, max: 1_000_000 }
const DURATION = { min: 1, max: HOUR_MS }

/** Fills in the defaults. Throws `TypeError` or `RangeError` naming the option, its value and what was expected. */
export function validateCoordinatorOptions(options: CoordinatorOptions): CoordinatorSettings {
  checkKnown('coordinator options', options, Object.keys(DEFAULTS))
  const settings = { ...DEFAULTS, ...options }
  checkTimeout(settings.timeoutMs)
  checkInteger('attemptTimeoutMs', settings.attemptTimeoutMs, DURATION)
  checkInteger('maxRequests', settings.maxRequests, COUNT)
  checkInteger('maxRepairs', settings.maxRepairs, COUNT)
  checkInteger('maxScanReads', settings.maxScanReads, COUNT)
  checkInteger('hedgeMaxMs', settings.hedgeMaxMs, DURATION)
  checkInteger('recentBytes', settings.recentBytes, { min: 0, max: GiB })
  const hedge = { min: 1, max: settings.hedgeMaxMs }
  checkInteger('hedgeMinMs', settings.hedgeMinMs, hedge)
  checkInteger('hedgeStartMs', settings.hedgeStartMs, hedge)
  return settings
}

/** Also for the timeout of one call. */
export function checkTimeout(timeoutMs: unknown): number {
  return checkInteger('timeoutMs', timeoutMs, DURATION)
}
