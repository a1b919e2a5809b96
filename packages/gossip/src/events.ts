import type { Digest, MemberStatus } from './digest.ts'
import type { FactsDelta } from './facts.ts'
import type { ProbeStep, RelayOutcome } from './prober.ts'

/** What happens to a node. */
export type GossipEvent =
  /** A life begins. Whatever was known before is of another one. */
  | { readonly kind: 'start' }
  /** `nextMs` has come. */
  | { readonly kind: 'tick' }
  /** Who takes part, this node left out or not. */
  | { readonly kind: 'members'; readonly names: readonly string[] }
  /** What somebody told, in a question or an answer. */
  | { readonly kind: 'heard'; readonly from: string; readonly digests: readonly Digest[] }
  /** A node has answered a call of this node. */
  | { readonly kind: 'answered'; readonly from: string; readonly digests: readonly Digest[] }
  /** The call of a probe has failed. */
  | { readonly kind: 'refused'; readonly probe: number }
  /** Somebody has probed for this node, or could not be asked. */
  | {
      readonly kind: 'relayed'
      readonly probe: number
      readonly via: string
      readonly outcome: RelayOutcome
    }
  /** The connection with the node broke. */
  | { readonly kind: 'disconnected'; readonly node: string }
  /** The version of the document that this node has. */
  | { readonly kind: 'document'; readonly version: number }
  /** Fetching the document has ended; `learned` if there is nothing more to be had from there. */
  | { readonly kind: 'fetched'; readonly from: string; readonly learned: boolean }
  | { readonly kind: 'publish'; readonly name: string; readonly value: Uint8Array }
  | { readonly kind: 'deltas'; readonly deltas: readonly FactsDelta[] }

/** What it does about that. */
export type GossipDecision =
  | ProbeStep
  /** Tells a node the news now. It answers as any ping does. */
  | { readonly kind: 'tell'; readonly to: string }
  /** Compares digests with a node: asks for what it knows better. */
  | { readonly kind: 'exchange'; readonly with: string; readonly digests: readonly Digest[] }
  /** Fetches the document. */
  | { readonly kind: 'fetch'; readonly from: string; readonly version: number }
  | { readonly kind: 'status'; readonly node: string; readonly from: MemberStatus; readonly to: MemberStatus }
  | { readonly kind: 'up' | 'down'; readonly node: string }
  | { readonly kind: 'fact'; readonly node: string; readonly name: string }
  /** Somebody was suspected, and lives. */
  | { readonly kind: 'false-alarm'; readonly node: string }
  /** This node was accused, and has refuted it. */
  | { readonly kind: 'refuted'; readonly incarnation: number }
  /** This node stood still for so long. */
  | { readonly kind: 'stalled'; readonly lateMs: number }
