import type { Lifecycle, Runtime } from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import type { RpcEndpoint } from '@atoll/transport'
import type { EventEmitter } from 'eventemitter3'
import type { Change } from './changes.ts'
import type { CommitOptions } from './commit.ts'
import type { ClusterDocument } from './document.ts'
import type { MembershipOptions } from './options.ts'
import type { Plan, PlanOptions } from './plan.ts'
import type { MembershipStorage } from './ports.ts'
export type Edit = (document: ClusterDocument) => ClusterDocument
export interface ProposeOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
}
export interface MembershipCollaborators {
  readonly endpoint: RpcEndpoint
  readonly storage: MembershipStorage
}
export interface MembershipEvents {
  changed: (document: ClusterDocument, previous: ClusterDocument | undefined) => void
}
export interface JoinOptions extends ProposeOptions {
  /** Names of members, to be asked one after the other. */
  readonly seeds: readonly NodeName[]
  readonly address: string
  readonly zone?: string | undefined
}
export declare class Membership extends Lifecycle {
  readonly label: string
  readonly events: EventEmitter<MembershipEvents>
  constructor(runtime: Runtime, collaborators: MembershipCollaborators, options: MembershipOptions)
  get document(): ClusterDocument | undefined
  /** The document as it is stored and gossiped. */
  get bytes(): Uint8Array | undefined
  /** The id of this node's data. Known once open. */
  get id(): string
  bootstrap(document: ClusterDocument): Promise<void>
  /** Resolves with true if the document is now this node's. */
  learn(bytes: Uint8Array): Promise<boolean>
  propose(edit: Edit, options?: ProposeOptions): Promise<ClusterDocument>
  force(
    edit: Edit,
    options: {
      readonly missing: readonly NodeName[]
      readonly reason: string
    },
  ): Promise<ClusterDocument>
  join(options: JoinOptions): Promise<ClusterDocument>
  stage(change: Change, options?: ProposeOptions): Promise<ClusterDocument>
  unstage(node: NodeName, options?: ProposeOptions): Promise<ClusterDocument>
  clear(options?: ProposeOptions): Promise<ClusterDocument>
  plan(options?: PlanOptions): Plan
  commit(plan: Plan, options?: ProposeOptions & CommitOptions): Promise<ClusterDocument>
  protected onOpen(): Promise<void>
  protected onClose(): Promise<void>
}
//# sourceMappingURL=membership.d.ts.map
