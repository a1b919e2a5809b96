import type { MergePolicy } from '@atoll/causality'
import { checkInteger, checkKnown, checkText, DEFAULT_TYPE, describe } from '@atoll/core'
import { MAX_REPLICAS } from '@atoll/ring'
import type { QuorumSize } from './kv.ts'
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
  /** Whether fallbacks stand in for primaries that are down; default true. */
  readonly sloppy: boolean
  /** Default siblings: a write is lost only where that was chosen. */
  readonly policy: MergePolicy
}

/** Past this a cluster is not told apart by its types any more. */
const MAX_TYPES = 1024

const DEFAULTS: BucketProperties = {
  n: 3,
  r: 'quorum',
  w: 'quorum',
  dw: 'quorum',
  pr: 0,
  pw: 0,
  notfoundOk: true,
  basicQuorum: false,
  sloppy: true,
  policy: { kind: 'siblings' },
}

/** The bucket types of a cluster and what they say. The type `default` exists from the start. */
export class BucketTypes {
  readonly #types = new Map<string, BucketProperties>([[DEFAULT_TYPE, DEFAULTS]])

  /** Throws `RangeError` for a type that was never set. */
  get(type: string): BucketProperties {
    const properties = this.#types.get(type)
    if (properties === undefined) throw new RangeError(`there is no bucket type ${describe(type)}`)
    return properties
  }

  /**
   * Creates a type, or changes some properties of one that exists; requests that begin later go by them. Throws
   * `TypeError` or `RangeError` naming the property, its value and what was expected, and then changes nothing.
   */
  set(type: string, changes: Partial<BucketProperties>): BucketProperties {
    checkText('bucket type', type, /^[a-z0-9._-]{1,64}$/, '1 to 64 characters of a-z 0-9 . _ -')
    checkKnown(`bucket type "${type}"`, changes, Object.keys(DEFAULTS))
    const properties = checkProperties({ ...(this.#types.get(type) ?? DEFAULTS), ...changes })
    if (!this.#types.has(type) && this.#types.size >= MAX_TYPES)
      throw new RangeError(`there may be at most ${MAX_TYPES} bucket types`)
    this.#types.set(type, properties)
    return properties
  }

  policyOf(type: string): MergePolicy {
    return this.get(type).policy
  }

  /** Every type with its properties, in the order of creation. */
  entries(): IterableIterator<[string, BucketProperties]> {
    return this.#types.entries()
  }
}

function checkProperties(properties: BucketProperties): BucketProperties {
  const { n, r, w, dw, pr, pw } = properties
  checkInteger('n', n, { min: 1, max: MAX_REPLICAS })
  for (const [name, size, least] of [
    ['r', r, 1],
    ['w', w, 1],
    ['dw', dw, 0],
    ['pr', pr, 0],
    ['pw', pw, 0],
  ] as const) {
    if (quorumSize(name, size, n) < least)
      throw new RangeError(`${name} must be at least ${least}, got ${size}`)
  }
  for (const name of ['notfoundOk', 'basicQuorum', 'sloppy'] as const) {
    const value: unknown = properties[name]
    if (typeof value !== 'boolean') throw new TypeError(`${name} must be a boolean, got ${describe(value)}`)
  }
  checkPolicy(properties.policy)
  return Object.freeze(properties)
}

function checkPolicy(policy: MergePolicy): void {
  if (typeof policy !== 'object' || policy === null)
    throw new TypeError(`policy must be a merge policy, got ${describe(policy)}`)
  switch (policy.kind) {
    case 'siblings':
    case 'last-write-wins':
    case 'write-once':
      return
    case 'merge':
      if (typeof policy.merge !== 'function')
        throw new TypeError(`policy.merge must be a function, got ${describe(policy.merge)}`)
      return
    default:
      throw new RangeError(
        `policy.kind must be siblings, last-write-wins, merge or write-once, got ${describe(policy)}`,
      )
  }
}
