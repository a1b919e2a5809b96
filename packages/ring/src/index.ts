export { type ClaimResult, claim } from './claim/claim.ts'
export type { ClaimMember, ClaimOptions } from './claim/options.ts'
export type { ClaimViolation } from './claim/violations.ts'
export { decodeRing, encodeRing } from './codec.ts'
export { MAX_REPLICAS, Placement, replicaTable } from './placement.ts'
export { overlapping, partitionOf, placementHash, responsiblePartition, type Sha1 } from './placement-hash.ts'
export {
  checkNodeName,
  checkPartitions,
  checkZoneName,
  createRing,
  MAX_PARTITIONS,
  type NodeName,
  type PreferenceEntry,
  type ReplicaTable,
  type Ring,
  type RingOptions,
} from './ring.ts'
