import type { RpcEndpoint } from '@atoll/transport'

/** What gossip needs of the rpc endpoint. */
export type GossipEndpoint = Pick<RpcEndpoint, 'call' | 'handle' | 'events'>

/** The one document that is spread. Gossip knows nothing of what is in it. */
export interface DocumentPort {
  /** The version that this node has; 0 for none. Never goes back. */
  version(): number
  /** The bytes of the current version; undefined if there is none. */
  read(): Promise<Uint8Array> | Uint8Array | undefined
  /** A peer has a newer one. Checks and takes it; throws for what it refuses, and gossip asks again some time later. */
  learn(version: number, bytes: Uint8Array, from: string): Promise<void>
}
