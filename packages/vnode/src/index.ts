export {
  type Abilities,
  BATCHES,
  checkPlaceKnown,
  DECISIONS,
  DIGEST_READS,
  HINTS,
  PLACES,
  QUIET_PUTS,
  refusalOfPlace,
  SCAN_GROUPS,
  VNODE_CAPABILITIES,
  WRITE_IDS,
} from './capabilities.ts'
export { type Counts, countsOf } from './counts.ts'
export { openDatabase } from './database.ts'
export type { Derivation, Derived, Origin, RecordChange } from './derivation.ts'
export { checkValue, checkValues, keepValues } from './envelope.ts'
export type { FoldItem } from './fold.ts'
export type { Gate, GatePhase, Gates } from './gates.ts'
export { type GuardParts, guardDatabase } from './guarded-database.ts'
export type { TransferNote } from './handoff-notes.ts'
export type { MovingRecord, Page, PageLimits, RecordDigest } from './handoff-pages.ts'
export type { HandoffVnode } from './handoff-vnode.ts'
export type { Hinted } from './hints.ts'
export { VnodeHost } from './host.ts'
export type { VnodeHostParts } from './host-parts.ts'
export type { Lineage } from './incarnation.ts'
export type { Mirror, Mirrors } from './mirrors.ts'
export { type VnodeHostOptions, validateVnodeHostOptions } from './options.ts'
export type { Database } from './ports.ts'
export {
  type CoordinateReply,
  type CoordinateRequest,
  type GetReply,
  type GetRequest,
  type HintRequest,
  MAX_TWICE,
  type OnDecided,
  type PutReply,
  type PutRequest,
  type ScanEntry,
  type ScanPosition,
  type ScanReply,
  type ScanRequest,
  type ScanVnode,
  type VnodeRole,
} from './protocol.ts'
export { mergeScans } from './scan-merge.ts'
export type { StorageState } from './storage-health.ts'
export type { StoredCounts } from './tallies.ts'
