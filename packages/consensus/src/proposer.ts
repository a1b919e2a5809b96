import type { AcceptReply, PrepareReply, Proposal } from './acceptor.ts'
import { type Ballot, compareBallots } from './ballot.ts'

/**
 * What to make of the register's value. Pure, and ready to meet its own effect: after an attempt that was preempted it is
 * called again, and the value may then be what the preempted attempt made. `undefined` is the value of a register that
 * was never written. Answering the value that it got is a linearizable read.
 */
export type RegisterChange = (current: Uint8Array | undefined) => Uint8Array | undefined

export type ProposerEvent =
  | { readonly kind: 'prepared'; readonly from: string; readonly reply: PrepareReply }
  | { readonly kind: 'accepted'; readonly from: string; readonly reply: AcceptReply }
  /** The acceptor cannot be reached, or did not answer a request of this phase in time. */
  | { readonly kind: 'failed'; readonly from: string; readonly phase: 'prepare' | 'accept' }

export type ProposerDecision =
  | { readonly kind: 'wait' }
  /** Send `accept` with this proposal to every acceptor. */
  | { readonly kind: 'propose'; readonly proposal: Proposal }
  | { readonly kind: 'decided'; readonly value: Uint8Array | undefined }
  /** A greater attempt is under way: begin anew above `promised`. `proposed` tells if this one may still succeed. */
  | { readonly kind: 'preempted'; readonly promised: Ballot; readonly proposed: boolean }
  /** Too few acceptors answer. `proposed` tells if the change may have happened all the same. */
  | { readonly kind: 'unreachable'; readonly proposed: boolean }

/** Who is asked. */
export interface Electorate {
  /** Names of all acceptors of the register. */
  readonly acceptors: readonly string[]
  /**
   * Those that have lost what they promised and accepted before. They count in a majority only beside so many of the
   * others that every majority has one of these, or if all agree. So any two quorums of a register have an acceptor in
   * common that remembers, as long as one does. Default none.
   */
  readonly forgetful?: readonly string[] | undefined
  /**
   * Others that remember what they promised and accepted, and are asked beside the acceptors. They count where they make
   * a majority of all with so many acceptors that every majority of these has one of them. So a quorum with reserves has
   * a member that remembers in common with every quorum, with reserves or without. Default none.
   */
  readonly reserves?: readonly string[] | undefined
}

export interface AttemptState extends Electorate {
  readonly ballot: Ballot
  readonly change: RegisterChange
  readonly phase: 'prepare' | 'accept' | 'over'
  /** Who agreed in this phase, and who cannot any more. */
  readonly agreed: readonly string[]
  readonly failed: readonly string[]
  /** The greatest proposal that an acceptor reported. */
  readonly latest: Proposal | undefined
  readonly value: Uint8Array | undefined
}

export interface AttemptStep {
  readonly state: AttemptState
  readonly decision: ProposerDecision
}

/** A new attempt: the shell sends `prepare` with its ballot to every acceptor. */
export function beginAttempt(
  ballot: Ballot,
  { acceptors, forgetful, reserves }: Electorate,
  change: RegisterChange,
): AttemptState {
  const nobody = { agreed: [], failed: [] }
  const nothing = { latest: undefined, value: undefined }
  return { ballot, acceptors, forgetful, reserves, change, phase: 'prepare', ...nobody, ...nothing }
}

/**
 * One attempt of a proposer of CASPaxos (Rystsov 2018), as a step machine. The shell feeds what comes back, and does what
 * is decided. Replies that are late or repeated change nothing.
 */
export function stepAttempt(state: AttemptState, event: ProposerEvent): AttemptStep {
  const { agreed, failed, phase } = state
  const known =
    everybodyIn(state).includes(event.from) && !agreed.includes(event.from) && !failed.includes(event.from)
  if (!known || phaseOf(event) !== phase) return waiting(state)
  if (event.kind === 'failed') return onFailed({ ...state, failed: [...failed, event.from] })
  if (event.reply.kind === 'conflict') {
    return over(state, { kind: 'preempted', promised: event.reply.promised, proposed: phase === 'accept' })
  }
  const next = { ...state, agreed: [...agreed, event.from] }
  return event.reply.kind === 'promise' ? onPromise(next, event.reply.accepted) : onAccepted(next)
}

function phaseOf(event: ProposerEvent): 'prepare' | 'accept' {
  if (event.kind === 'failed') return event.phase
  return event.kind === 'prepared' ? 'prepare' : 'accept'
}

function onPromise(state: AttemptState, accepted: Proposal | undefined): AttemptStep {
  const latest = compareBallots(accepted?.ballot, state.latest?.ballot) > 0 ? accepted : state.latest
  if (!isQuorum(state.agreed, state)) return waiting({ ...state, latest })
  const value = state.change(latest?.value)
  if (value === undefined) {
    if (latest !== undefined) throw new TypeError('a change cannot make a written register unwritten')
    return over(state, { kind: 'decided', value })
  }
  return {
    state: { ...state, phase: 'accept', agreed: [], failed: [], latest, value },
    decision: { kind: 'propose', proposal: { ballot: state.ballot, value } },
  }
}

function onAccepted(state: AttemptState): AttemptStep {
  if (!isQuorum(state.agreed, state)) return waiting(state)
  return over(state, { kind: 'decided', value: state.value })
}

function onFailed(state: AttemptState): AttemptStep {
  const left = everybodyIn(state).filter((name) => !state.failed.includes(name))
  if (isQuorum(left, state)) return waiting(state)
  return over(state, { kind: 'unreachable', proposed: state.phase === 'accept' })
}

/** All who are asked. */
export function everybodyIn({ acceptors, reserves = [] }: Electorate): readonly string[] {
  return [...acceptors, ...reserves]
}

function isQuorum(names: readonly string[], electorate: Electorate): boolean {
  const { acceptors, forgetful = [], reserves = [] } = electorate
  const own = acceptors.filter((name) => names.includes(name))
  if (own.length === acceptors.length) return true
  const remembering = own.filter((name) => !forgetful.includes(name)).length
  const majority = majorityOf(acceptors.length)
  if (remembering + majority <= acceptors.length) return false
  const withReserves = remembering + reserves.filter((name) => names.includes(name)).length
  return own.length >= majority || withReserves >= majorityOf(everybodyIn(electorate).length)
}

function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1
}

function waiting(state: AttemptState): AttemptStep {
  return { state, decision: { kind: 'wait' } }
}

function over(state: AttemptState, decision: ProposerDecision): AttemptStep {
  return { state: { ...state, phase: 'over' }, decision }
}
