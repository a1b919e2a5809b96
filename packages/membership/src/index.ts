export type { Change } from './changes.ts'
export type { ClusterDocument, ForcedRecord, Member, MemberState, Refill } from './document.ts'
export {
  type Edit,
  type JoinOptions,
  Membership,
  type MembershipCollaborators,
  type MembershipEvents,
  type ProposeOptions,
} from './membership.ts'
export type { MembershipOptions } from './options.ts'
export type { CommitOptions, Plan, PlannedRefill, PlannedTransfer, PlanOptions } from './plan.ts'
export type { MembershipStorage } from './ports.ts'
