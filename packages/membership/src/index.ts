export { type BucketTypeEntry, setBucketType } from './bucket-types.ts'
export type { Change } from './changes.ts'
export { decodeDocument, encodeDocument, isForAllVersions } from './codec.ts'
export { type CommitOptions, commit } from './commit.ts'
export type {
  ClusterDocument,
  ForcedRecord,
  Member,
  MemberState,
  Move,
  RaisedRefill,
  Refill,
  Resizing,
  RestoredRefill,
} from './document.ts'
export { type FirstDocumentOptions, firstDocument } from './first-document.ts'
export { begun, catchingUp, filledReplicas, isOlderCopy, isRestored, type Life } from './generations.ts'
export { type History, withHistory } from './history.ts'
export { markDown, markUp, setAddress } from './member-edits.ts'
export {
  type ForceOptions,
  type JoinOptions,
  Membership,
  type MembershipCollaborators,
  type MembershipEvents,
  type ProposeOptions,
} from './membership.ts'
export { joinMethod } from './methods.ts'
export type { MembershipOptions } from './options.ts'
export { type Plan, type PlannedMove, type PlanOptions, planOf } from './plan.ts'
export { planText } from './plan-text.ts'
export type { MembershipStorage } from './ports.ts'
export { exited, type Handed, handed, refilled } from './progress.ts'
export { type ReplicasOf, withPromotions } from './promotions.ts'
export type { Edit } from './proposal.ts'
export { isReady } from './ready.ts'
export { filesNext, refiled } from './resize.ts'
export type { SpacingViolation } from './spacing.ts'
export { clearStaged, describeChange, stage, unstage } from './staging.ts'
export { votersOf } from './voters.ts'
