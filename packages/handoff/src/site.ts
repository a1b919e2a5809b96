import type { Runtime } from '@atoll/core'
import type { RpcEndpoint } from '@atoll/transport'
import type { VnodeHost } from '@atoll/vnode'
import type { HandoffOptions } from './options.ts'
import type { Sender } from './sender.ts'

export interface HandoffParts {
  readonly host: VnodeHost
  readonly endpoint: Pick<RpcEndpoint, 'call' | 'handle' | 'openStream' | 'handleStream' | 'capabilitiesOf'>
  /**
   * Whether this node's document says that a partition is this node's own, by the number that its records are filed by
   * here; default that nothing is, for whoever drives handoffs by hand.
   */
  readonly isOwn?: ((partition: number) => boolean) | undefined
}

/** What all handoffs of a node share. */
export interface Site extends HandoffParts {
  readonly runtime: Runtime
  /** This node. */
  readonly node: string
  readonly options: Required<HandoffOptions>
  readonly sender: Sender
}
