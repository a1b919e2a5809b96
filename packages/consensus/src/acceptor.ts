import { type Ballot, compareBallots } from './ballot.ts'

/** What an acceptor must never forget: it has to be durable before the reply that follows from it leaves. */
export interface AcceptorState {
  /** No attempt below this one will be accepted. */
  readonly promised: Ballot | undefined
  /** The last proposal that was accepted. */
  readonly accepted: Proposal | undefined
}

export interface Proposal {
  readonly ballot: Ballot
  readonly value: Uint8Array
}

export const EMPTY_ACCEPTOR: AcceptorState = { promised: undefined, accepted: undefined }

export type PrepareReply =
  | { readonly kind: 'promise'; readonly accepted: Proposal | undefined }
  | { readonly kind: 'conflict'; readonly promised: Ballot }

export type AcceptReply =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'conflict'; readonly promised: Ballot }

/**
 * The acceptor of CASPaxos (Rystsov, "CASPaxos: Replicated State Machines without logs", 2018), which is that of
 * single-decree Paxos: an attempt is promised unless a greater one was.
 */
export function prepare(state: AcceptorState, ballot: Ballot): { state: AcceptorState; reply: PrepareReply } {
  if (state.promised !== undefined && compareBallots(ballot, state.promised) < 0) {
    return { state, reply: { kind: 'conflict', promised: state.promised } }
  }
  return { state: { ...state, promised: ballot }, reply: { kind: 'promise', accepted: state.accepted } }
}

/** Accepts a proposal unless a greater attempt was promised. To accept is also to promise. */
export function accept(
  state: AcceptorState,
  proposal: Proposal,
): { state: AcceptorState; reply: AcceptReply } {
  if (state.promised !== undefined && compareBallots(proposal.ballot, state.promised) < 0) {
    return { state, reply: { kind: 'conflict', promised: state.promised } }
  }
  return { state: { promised: proposal.ballot, accepted: proposal }, reply: { kind: 'accepted' } }
}
