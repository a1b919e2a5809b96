import { checkInteger, checkKnown, checkText, KiB, MiB } from '@atoll/core'

export interface GossipOptions {
  /** The name of this node. */
  readonly node: string
  /** Length of a round, in milliseconds; default 500. */
  readonly periodMs?: number
  /** Members probed in a round, in turn; default 3. */
  readonly probesPerPeriod?: number
  /**
   * How long a direct probe may take, in milliseconds, and how long the indirect ones after it; default 300. Grows with the
   * doubt that this node has in its own health.
   */
  readonly probeTimeoutMs?: number
  /** Members asked to probe in the place of this one when a direct probe failed; default 3. */
  readonly indirectProbes?: number
  /** The shortest time that a suspect has to refute, in periods, for each power of ten of the cluster's size; default 2. */
  readonly suspicionMultiplier?: number
  /** How many times longer a suspicion lasts that nobody confirms; default 3. */
  readonly suspicionMaxFactor?: number
  /** Pause between exchanges of digests with a random member, in milliseconds; default 1000. */
  readonly exchangeMs?: number
  /** Members told at once of a new document, and of a refutation; default 3. */
  readonly fanout?: number
  /** News on one message; default 10. */
  readonly maxRumours?: number
  /** How many times log2 of the cluster's size a piece of news is told by each node; default 2. */
  readonly rumourMultiplier?: number
  /** The most that this node doubts its own health: its probes wait up to so many times longer, plus one; default 8. */
  readonly maxHealth?: number
  /** A timer that fires so much too late, in milliseconds, means that this node itself stood still; default 250. */
  readonly stallMs?: number
  /** Members asked when this node opens; default 10. */
  readonly firstContacts?: number
  /** Digests in an exchange; in larger clusters they take turns. Default 128. */
  readonly maxDigests?: number
  /** Facts in the answer to an exchange, in bytes; default 64 KiB. */
  readonly maxExchangeBytes?: number
  /** Facts of one node; default 32. */
  readonly maxFacts?: number
  /** Size of a fact, in bytes; default 1 KiB. */
  readonly maxFactBytes?: number
  /** Size of the document, in bytes; default 4 MiB. */
  readonly maxDocumentBytes?: number
  /** How long fetching a document may take, in milliseconds; default 2000. */
  readonly documentTimeoutMs?: number
}

export type FullGossipOptions = Required<GossipOptions>

export const DEFAULT_GOSSIP_OPTIONS = {
  periodMs: 500,
  probesPerPeriod: 3,
  probeTimeoutMs: 300,
  indirectProbes: 3,
  suspicionMultiplier: 2,
  suspicionMaxFactor: 3,
  exchangeMs: 1000,
  fanout: 3,
  maxRumours: 10,
  rumourMultiplier: 2,
  maxHealth: 8,
  stallMs: 250,
  firstContacts: 10,
  maxDigests: 128,
  maxExchangeBytes: 64 * KiB,
  maxFacts: 32,
  maxFactBytes: KiB,
  maxDocumentBytes: 4 * MiB,
  documentTimeoutMs: 2000,
} satisfies Omit<FullGossipOptions, 'node'>

const HOUR_LONG = 3_600_000

const LIMITS = {
  periodMs: { min: 1, max: HOUR_LONG },
  probesPerPeriod: { min: 1, max: 64 },
  probeTimeoutMs: { min: 1, max: HOUR_LONG },
  indirectProbes: { min: 0, max: 64 },
  suspicionMultiplier: { min: 1, max: 1000 },
  suspicionMaxFactor: { min: 1, max: 1000 },
  exchangeMs: { min: 1, max: HOUR_LONG },
  fanout: { min: 1, max: 64 },
  maxRumours: { min: 1, max: 256 },
  rumourMultiplier: { min: 1, max: 100 },
  maxHealth: { min: 0, max: 64 },
  stallMs: { min: 1, max: HOUR_LONG },
  firstContacts: { min: 0, max: 1000 },
  maxDigests: { min: 1, max: 512 },
  maxExchangeBytes: { min: 64 * KiB, max: 512 * KiB },
  maxFacts: { min: 1, max: 64 },
  maxFactBytes: { min: 64, max: 16 * KiB },
  maxDocumentBytes: { min: 1, max: 8 * MiB },
  documentTimeoutMs: { min: 1, max: HOUR_LONG },
} as const

/** The options with their defaults. Throws `TypeError` or `RangeError`, naming the value and what was expected. */
export function validateGossipOptions(options: GossipOptions): FullGossipOptions {
  checkKnown('gossip options', options, ['node', ...Object.keys(DEFAULT_GOSSIP_OPTIONS)])
  const full = { ...DEFAULT_GOSSIP_OPTIONS, ...options }
  checkText('node', full.node, /^.{1,255}$/u, 'a name of 1 to 255 characters')
  for (const [name, value] of Object.entries(full)) {
    if (isLimited(name)) checkInteger(name, value, LIMITS[name])
  }
  return full
}

function isLimited(name: string): name is keyof typeof LIMITS {
  return Object.hasOwn(LIMITS, name)
}
