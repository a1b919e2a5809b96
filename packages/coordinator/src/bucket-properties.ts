import type { MergePolicy } from '@atoll/causality'
import { AtollError, checkInteger, checkText, describe, wrongRange, wrongType } from '@atoll/core'
import { MAX_REPLICAS } from '@atoll/ring'
import type { Absence, QuorumSize } from './kv.ts'
import { quorumSize } from './quorum.ts'

/** What a bucket type says of its keys. Each request may override the quorums. */
export interface BucketProperties {
  /** Replicas of a key, 1 to 16; default 3. In a smaller cluster, one on each node. */
  readonly n: number
  /** Default `quorum`. */
  readonly r: QuorumSize
  /** Default `quorum`. */
  readonly w: QuorumSize
  /** Default `quorum`. */
  readonly dw: QuorumSize
  /** Default 0. */
  readonly pr: QuorumSize
  /** Default 0. */
  readonly pw: QuorumSize
  /** Whether "I have none" counts towards r; default true. */
  readonly notfoundOk: boolean
  /** Whether a majority of "I have none" and failures ends a read early; default false. */
  readonly basicQuorum: boolean
  /**
   * Whose word it takes that a key is absent, or an index has no more entries: `primaries`, the default, that of r
   * primaries; where these cannot be heard the answer is `ATOLL_QUORUM_UNMET`. Then no write that n - r + 1 primaries
   * have confirmed is ever taken for absent. `any`, Riak's way, that of any r replicas, also of those that stand in.
   */
  readonly absence: Absence
  /** Whether fallbacks stand in for primaries that are down; default true. */
  readonly sloppy: boolean
  /** Whether records of the type cross to other clusters, for replication to read; default true. */
  readonly replicate: boolean
  /** Default siblings: a write is lost only where that was chosen. */
  readonly policy: MergePolicy
}

/**
 * What `BucketTypes` takes: of a merge function the name is enough, if the function is registered under it. With a function
 * the name stands for that one from then on.
 */
export type BucketChanges = Partial<Omit<BucketProperties, 'policy'>> & {
  readonly policy?: MergePolicy | NamedMerge
}

export interface NamedMerge {
  readonly kind: 'merge'
  readonly name: string
  readonly merge?: undefined
}

const MERGE_NAME = /^[a-zA-Z0-9._-]{1,64}$/

export const DEFAULT_PROPERTIES: BucketProperties = {
  n: 3,
  r: 'quorum',
  w: 'quorum',
  dw: 'quorum',
  pr: 0,
  pw: 0,
  notfoundOk: true,
  basicQuorum: false,
  absence: 'primaries',
  sloppy: true,
  replicate: true,
  policy: { kind: 'siblings' },
}

/** Throws `TypeError` or `RangeError` naming the property, its value and what was expected. */
export function checkProperties(properties: BucketProperties): BucketProperties {
  const { n, r, w, dw, pr, pw } = properties
  checkInteger('n', n, { min: 1, max: MAX_REPLICAS })
  for (const [name, size, least] of [
    ['r', r, 1],
    ['w', w, 1],
    ['dw', dw, 0],
    ['pr', pr, 0],
    ['pw', pw, 0],
  ] as const) {
    if (quorumSize(name, size, n) < least) throw wrongRange(name, `must be at least ${least}, got ${size}`)
  }
  for (const name of ['notfoundOk', 'basicQuorum', 'sloppy', 'replicate'] as const) {
    const value: unknown = properties[name]
    if (typeof value !== 'boolean') throw wrongType(name, `must be a boolean, got ${describe(value)}`)
  }
  checkAbsence(properties.absence)
  checkPolicy(properties.policy)
  return Object.freeze(properties)
}

/** Throws `TypeError` or `RangeError`. */
export function checkAbsence(absence: unknown): Absence {
  if (typeof absence !== 'string') throw wrongType('absence', `must be a text, got ${describe(absence)}`)
  if (absence !== 'primaries' && absence !== 'any')
    throw wrongRange('absence', `must be primaries or any, got ${describe(absence)}`)
  return absence
}

function checkPolicy(policy: MergePolicy): void {
  if (typeof policy !== 'object' || policy === null)
    throw wrongType('policy', `must be a merge policy, got ${describe(policy)}`)
  switch (policy.kind) {
    case 'siblings':
    case 'last-write-wins':
    case 'write-once':
      return
    case 'merge':
      checkText('policy.name', policy.name, MERGE_NAME, '1 to 64 characters of a-z A-Z 0-9 . _ -')
      if (typeof policy.merge !== 'function')
        throw wrongType('policy.merge', `must be a function, got ${describe(policy.merge)}`)
      return
    default:
      throw wrongRange(
        'policy.kind',
        `must be siblings, last-write-wins, merge or write-once, got ${describe(policy)}`,
      )
  }
}

/**
 * Throws `ATOLL_CHANGE_REFUSED` for a change that records on disk would not survive. Any other policy keeps clocks, and
 * can be exchanged for another at any time: siblings are there to be merged, or the last write is among them. But a
 * write-once record has no clock. A later write could not be told from an earlier one, and replicas that learn of the
 * change at different times would each keep another value; the other way round a clock would be thrown away.
 */
export function checkChange(type: string, before: BucketProperties, after: BucketProperties): void {
  if ((before.policy.kind === 'write-once') === (after.policy.kind === 'write-once')) return
  throw new AtollError(
    'ATOLL_CHANGE_REFUSED',
    `bucket type "${type}" cannot change from ${before.policy.kind} to ${after.policy.kind}: records of write-once ` +
      'types have no clocks; make another type',
    { details: { type, before: before.policy.kind, after: after.policy.kind } },
  )
}
