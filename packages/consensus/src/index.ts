export {
  type AcceptorState,
  type AcceptReply,
  accept,
  EMPTY_ACCEPTOR,
  type PrepareReply,
  type Proposal,
  prepare,
} from './acceptor.ts'
export { AcceptorHost } from './acceptor-host.ts'
export type { Ballot } from './ballot.ts'
export type { AcceptorStorage, Acceptors } from './ports.ts'
export {
  type AttemptState,
  type AttemptStep,
  beginAttempt,
  type Electorate,
  type ProposerDecision,
  type ProposerEvent,
  type RegisterChange,
  stepAttempt,
} from './proposer.ts'
export { type ChangeOptions, Registers, type RegistersOptions } from './register.ts'
