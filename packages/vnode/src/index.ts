export { openDatabase } from './database.ts'
export type { FoldItem } from './fold.ts'
export { VnodeHost, type VnodeHostParts } from './host.ts'
export type { VnodeHostOptions } from './options.ts'
export type { Database, Sublevel } from './ports.ts'
export type {
  CoordinateReply,
  CoordinateRequest,
  GetReply,
  GetRequest,
  PutReply,
  PutRequest,
  ScanEntry,
  ScanPosition,
  ScanReply,
  ScanRequest,
} from './protocol.ts'
export {
  type VnodeCallOptions,
  VnodeReplicas,
  type VnodeReplicasParts,
  type VnodeTarget,
} from './replicas.ts'
export { serveVnodes } from './serve.ts'
