export { HINTS, SCAN_GROUPS, VNODE_CAPABILITIES, WRITE_IDS } from './capabilities.ts'
export { openDatabase } from './database.ts'
export type { FoldItem } from './fold.ts'
export { type GuardParts, guardDatabase } from './guarded-database.ts'
export type { GiveBackPlan, GivenBack } from './handoff/give-back.ts'
export { Handoffs } from './handoff/handoffs.ts'
export type { HintPlan } from './handoff/hint-delivery.ts'
export type { HandoffPhase, HandoffStatus } from './handoff/jobs.ts'
export type { HandoffOptions } from './handoff/options.ts'
export type { HandoffKind } from './handoff/protocol.ts'
export type { Refilled, RefillRequest } from './handoff/refill.ts'
export type { HandoffParts } from './handoff/site.ts'
export type { Hinted } from './hints.ts'
export { VnodeHost, type VnodeHostParts } from './host.ts'
export type { Lineage } from './incarnation.ts'
export type { VnodeHostOptions } from './options.ts'
export type { Database } from './ports.ts'
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
  VnodeRole,
} from './protocol.ts'
export {
  type VnodeCallOptions,
  VnodeReplicas,
  type VnodeReplicasParts,
  type VnodeTarget,
} from './replicas.ts'
export type { Ownership } from './route.ts'
export { type ServeOptions, serveVnodes } from './serve.ts'
export type { StorageState } from './storage-health.ts'
