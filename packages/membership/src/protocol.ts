import type { AcceptReply, Ballot, PrepareReply } from '@atoll/consensus'
import type { Change } from './changes.ts'

/** Which document a question is about: the one that the next epoch is decided upon. */
export interface Basis {
  readonly clusterId: string
  readonly epoch: number
  /** SHA-1 of its bytes: after two forced decisions there may be two of one epoch. */
  readonly digest: Uint8Array
}

/** Asks an acceptor to promise. */
export interface PrepareRequest {
  readonly basis: Basis
  readonly ballot: Ballot
  /**
   * True if the vote counts as that of a node that may have forgotten its votes; one that has answers nothing else.
   * Default false.
   */
  readonly asForgetful?: boolean | undefined
}

/** Asks an acceptor to accept a document for the next epoch. */
export interface AcceptRequest extends PrepareRequest {
  readonly value: Uint8Array
}

/** What an acceptor says if it does not have the document that it is asked about. */
export type Elsewhere =
  /** It has a newer one, or another one of that epoch: here it is. */
  | { readonly kind: 'document'; readonly bytes: Uint8Array }
  /** It has an older one, and should be told. */
  | { readonly kind: 'behind' }

export type PrepareAnswer = PrepareReply | Elsewhere

export type AcceptAnswer = AcceptReply | Elsewhere

/** Tells a document. */
export interface TellRequest {
  readonly bytes: Uint8Array
}

export interface TellAnswer {
  /** Of the document that the node has now. */
  readonly epoch: number
}

/** Asks a member to stage a join, and for the document in which that is. */
export interface JoinRequest {
  readonly change: Extract<Change, { readonly kind: 'join' }>
}

export interface JoinAnswer {
  readonly bytes: Uint8Array
}
