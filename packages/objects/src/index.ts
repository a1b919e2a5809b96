export type { PutResult } from './activations.ts'
export type { ObjectBody, ReadableStreamLike } from './body-chunks.ts'
export type { BucketInfo } from './bucket-knowledge.ts'
export type { BucketPage } from './bucket-records.ts'
export type { ResolvedRange } from './byte-range.ts'
export { BLOCKS_TYPE, BUCKETS_TYPE, DEFAULT_BUCKET_TYPE, KV_TYPES, MANIFESTS_TYPE } from './kv-types.ts'
export { LevelKvStore } from './level-kv-store.ts'
export type { ListedObject, ObjectPage } from './listing.ts'
export type { ObjectMetadata } from './metadata.ts'
export type { ObjectInfo, StoredObject } from './object-reader.ts'
export { ObjectStore, type ObjectStoreParts } from './object-store.ts'
export { type LevelKvStoreOptions, type ObjectStoreOptions, validateObjectStoreOptions } from './options.ts'
export type {
  ClockReadings,
  ClusterClocks,
  KvGetOptions,
  KvIndexEntry,
  KvPutOptions,
  KvScanOptions,
  KvStore,
  KvStoreRead,
  KvStoreScan,
  KvStoreScanEntry,
  KvStoreScanPage,
  KvStoreValue,
  KvStoreWrite,
  KvStoreWritten,
  LevelDatabase,
  LevelOperation,
  StorePeers,
} from './ports.ts'
export type { ReadQuorumOptions, ReplicaCount, WriteQuorumOptions } from './quorums.ts'
export type {
  BucketListOptions,
  ByteRange,
  CallOptions,
  ChunkOwnership,
  CloseOptions,
  Collected,
  CollectOptions,
  CreateBucketOptions,
  DeleteOptions as ObjectDeleteOptions,
  GetOptions,
  ListOptions,
  Progress,
  PutOptions,
  ReadOptions as ObjectReadOptions,
} from './requests.ts'
export { checkClose } from './requests.ts'
