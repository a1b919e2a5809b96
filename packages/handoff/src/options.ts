import { checkInteger, checkKnown, KiB, MAX_DELAY_MS, MiB } from '@atoll/core'

export interface HandoffOptions {
  /** Vnodes of which this node sends records at a time; others wait. Default 2. */
  readonly maxOutgoing?: number
  /** Vnodes for which this node takes records at a time; one more is refused as overload, and tried again. Default 4. */
  readonly maxIncoming?: number
  /** Bytes of records that this node sends per second; 0 for as many as it can. Default 0. */
  readonly sendBytesPerSecond?: number
  /** Bytes of records that this node takes per second; 0 for as many as come. Default 0. */
  readonly receiveBytesPerSecond?: number
  /** Bytes of the records that are read, offered and sent together; a larger record goes alone. They travel as the body of
   * one frame, so this stays within `maxBodyBytes` of the transport. Default 1 MiB. */
  readonly pageBytes?: number
  /** Records that are offered together. Default 256. */
  readonly pageRecords?: number
  /** How long the other node may take over one message, in milliseconds. Default 30 000. */
  readonly callTimeoutMs?: number
  /** How long writes wait at most while a vnode is handed over, in milliseconds; past it the vnode goes on as owner and
   * tries again. Default 2000. */
  readonly pauseTimeoutMs?: number
  /** The longest first pause after a failure, in milliseconds; it doubles with each that follows. Default 100. */
  readonly retryBaseMs?: number
  /** The longest that this pause grows to, in milliseconds. Default 10 000. */
  readonly retryCapMs?: number
  /** Silence after which an incoming handoff counts as over, in milliseconds. Default 10 000. */
  readonly incomingIdleMs?: number
}

const DEFAULTS = {
  maxOutgoing: 2,
  maxIncoming: 4,
  sendBytesPerSecond: 0,
  receiveBytesPerSecond: 0,
  pageBytes: MiB,
  pageRecords: 256,
  callTimeoutMs: 30_000,
  pauseTimeoutMs: 2000,
  retryBaseMs: 100,
  retryCapMs: 10_000,
  incomingIdleMs: 10_000,
} as const satisfies Required<HandoffOptions>

/** Records that one message of a handoff offers or brings at most. */
export const MAX_PAGE_RECORDS = 4096

const LIMITS: Readonly<Record<keyof HandoffOptions, { readonly min: number; readonly max: number }>> = {
  maxOutgoing: { min: 1, max: 1024 },
  maxIncoming: { min: 1, max: 4096 },
  sendBytesPerSecond: { min: 0, max: 2 ** 40 },
  receiveBytesPerSecond: { min: 0, max: 2 ** 40 },
  pageBytes: { min: KiB, max: 8 * MiB },
  pageRecords: { min: 1, max: MAX_PAGE_RECORDS },
  callTimeoutMs: { min: 1, max: MAX_DELAY_MS },
  pauseTimeoutMs: { min: 1, max: MAX_DELAY_MS },
  retryBaseMs: { min: 1, max: MAX_DELAY_MS },
  retryCapMs: { min: 1, max: MAX_DELAY_MS },
  incomingIdleMs: { min: 1, max: MAX_DELAY_MS },
}

/** The options with their defaults. Throws `TypeError` or `RangeError`, naming the value and what was expected. */
export function validateHandoffOptions(options: HandoffOptions): Required<HandoffOptions> {
  checkKnown('handoff options', options, Object.keys(DEFAULTS))
  const limited = (name: keyof HandoffOptions) =>
    checkInteger(name, options[name] ?? DEFAULTS[name], LIMITS[name])
  return {
    maxOutgoing: limited('maxOutgoing'),
    maxIncoming: limited('maxIncoming'),
    sendBytesPerSecond: limited('sendBytesPerSecond'),
    receiveBytesPerSecond: limited('receiveBytesPerSecond'),
    pageBytes: limited('pageBytes'),
    pageRecords: limited('pageRecords'),
    callTimeoutMs: limited('callTimeoutMs'),
    pauseTimeoutMs: limited('pauseTimeoutMs'),
    retryBaseMs: limited('retryBaseMs'),
    retryCapMs: limited('retryCapMs'),
    incomingIdleMs: limited('incomingIdleMs'),
  }
}
