import type { AcceptorState, AcceptReply, PrepareReply, Proposal } from './acceptor.ts'
import type { Ballot } from './ballot.ts'

/** The acceptors of a register, near and far. A promise that rejects stands for "no answer". */
export interface Acceptors {
  prepare(
    node: string,
    register: Uint8Array,
    ballot: Ballot,
    signal: AbortSignal | undefined,
  ): Promise<PrepareReply>
  accept(
    node: string,
    register: Uint8Array,
    proposal: Proposal,
    signal: AbortSignal | undefined,
  ): Promise<AcceptReply>
}

/** Where an acceptor keeps its states. */
export interface AcceptorStorage {
  load(register: Uint8Array): Promise<AcceptorState | undefined>
  /** Resolves when the state is durable. */
  save(register: Uint8Array, state: AcceptorState): Promise<void>
}
