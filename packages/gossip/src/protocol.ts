import type { Digest } from './digest.ts'
import type { FactsDelta } from './facts.ts'

/** What every message carries: first the sender's own digest, then what it has to tell. */
export interface News {
  readonly digests: readonly Digest[]
}

export interface Pong extends News {
  /** Whether the one who answers believes the asker to be up. */
  readonly seesYou: boolean
}

export interface RelayRequest extends News {
  /** The node to be probed. */
  readonly target: string
}

export interface RelayReply extends News {
  readonly answered: boolean
}

export interface ExchangeReply extends News {
  readonly deltas: readonly FactsDelta[]
}

export interface DocumentReply {
  /** 0 for none. */
  readonly version: number
  readonly bytes: Uint8Array
}
