import type { Placement } from '@atoll/ring'
import type { BucketTypes } from './bucket-types.ts'
import type { Liveness, Replicas } from './ports.ts'

export interface CoordinatorMeans {
  /** The name of this node in the ring. */
  readonly node: string
  /**
   * The placement of this moment, asked for by every request, and by a scan whenever a node fails it. The same one as
   * long as nothing changed: it keeps what it has computed.
   */
  readonly placement: () => Placement
  readonly replicas: Replicas
  readonly liveness: Liveness
  readonly bucketTypes: BucketTypes
}
