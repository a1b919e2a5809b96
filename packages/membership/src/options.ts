import { checkInteger, checkKnown } from '@atoll/core'
import { checkNodeName } from '@atoll/ring'

export interface MembershipOptions {
  /** The name of this node: 1 to 64 characters of `a-z A-Z 0-9 . _ -`. */
  readonly node: string
  /** How long one question to another member may take, in milliseconds; default 1000. */
  readonly callTimeoutMs?: number
  /** How long a proposal may take if its caller does not say, in milliseconds; default 10 000. */
  readonly proposeTimeoutMs?: number
  /** Rounds in which a proposal is made anew, on a newer document or after too few answered; default 64. */
  readonly maxRounds?: number
  /** The longest pause after the first round, in milliseconds; it doubles up to a second, with full jitter. Default 20. */
  readonly backoffMs?: number
  /** Questions and documents that wait for the disk; one more is refused as overload. Default 1000. */
  readonly maxQueued?: number
}

const DEFAULTS = {
  callTimeoutMs: 1000,
  proposeTimeoutMs: 10_000,
  maxRounds: 64,
  backoffMs: 20,
  maxQueued: 1000,
} as const satisfies Partial<MembershipOptions>

const LIMITS = {
  callTimeoutMs: { min: 1, max: 3_600_000 },
  proposeTimeoutMs: { min: 1, max: 3_600_000 },
  maxRounds: { min: 1, max: 10_000 },
  backoffMs: { min: 1, max: 1000 },
  maxQueued: { min: 1, max: 1_000_000 },
} as const

/** The options with their defaults. Throws `TypeError` or `RangeError`. */
export function validateMembershipOptions(options: MembershipOptions): Required<MembershipOptions> {
  checkKnown('membership options', options, ['node', ...Object.keys(DEFAULTS)])
  checkNodeName('node', options.node)
  const value = (name: keyof typeof DEFAULTS) =>
    checkInteger(name, options[name] ?? DEFAULTS[name], LIMITS[name])
  return {
    node: options.node,
    callTimeoutMs: value('callTimeoutMs'),
    proposeTimeoutMs: value('proposeTimeoutMs'),
    maxRounds: value('maxRounds'),
    backoffMs: value('backoffMs'),
    maxQueued: value('maxQueued'),
  }
}
