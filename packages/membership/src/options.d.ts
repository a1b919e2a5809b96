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
/** The options with their defaults. Throws `TypeError` or `RangeError`. */
export declare function validateMembershipOptions(options: MembershipOptions): Required<MembershipOptions>
//# sourceMappingURL=options.d.ts.map
