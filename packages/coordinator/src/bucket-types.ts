import type { MergePolicy } from '@atoll/causality'
import type { QuorumSize } from './kv.ts'

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
  readonly policy: MergePolicy
}
