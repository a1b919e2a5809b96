import type { Runtime } from '@atoll/core'
import type { RpcEndpoint } from '@atoll/transport'
import type { VnodeHost } from '../host.ts'
import type { Ownership } from '../route.ts'
import type { HandoffOptions } from './options.ts'
import type { Sender } from './sender.ts'

export interface HandoffParts {
  readonly host: VnodeHost
  readonly endpoint: Pick<RpcEndpoint, 'call' | 'handle' | 'openStream' | 'handleStream' | 'capabilitiesOf'>
  /** What this node's document says of who owns what; default nothing, for whoever drives handoffs by hand. */
  readonly ownership?: (() => Ownership) | undefined
}

/** What all handoffs of a node share. */
export interface Site extends HandoffParts {
  readonly runtime: Runtime
  /** This node. */
  readonly node: string
  readonly options: Required<HandoffOptions>
  readonly sender: Sender
}
