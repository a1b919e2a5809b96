export type { BucketChanges, BucketProperties, NamedMerge } from './bucket-properties.ts'
export { BucketTypes, type BucketTypesOptions, type MergeFunctions } from './bucket-types.ts'
export { decodeBucketProperties, encodeBucketProperties } from './codec.ts'
export { Coordinator } from './coordinator.ts'
export type {
  Absence,
  DeleteOptions,
  KeyValueStore,
  KvRead,
  KvScan,
  KvScanEntry,
  KvScanPage,
  KvValue,
  KvWrite,
  KvWritten,
  QuorumSize,
  ReadOptions,
  WriteOptions,
} from './kv.ts'
export type { CoordinatorMeans } from './means.ts'
export { type CoordinatorOptions, validateCoordinatorOptions } from './options.ts'
export type {
  CoordinatedWrite,
  IndexPosition,
  Liveness,
  ReplicaCallOptions,
  ReplicaCoordinated,
  ReplicaGetOptions,
  ReplicaPut,
  ReplicaPutOptions,
  ReplicaRead,
  ReplicaScan,
  ReplicaScanEntry,
  ReplicaScanPage,
  ReplicaScanVnode,
  Replicas,
  ReplicaTarget,
} from './ports.ts'
