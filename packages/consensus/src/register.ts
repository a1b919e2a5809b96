import { AtollError, checkInteger, checkText, type Runtime } from '@atoll/core'
import type { Proposal } from './acceptor.ts'
import { type Ballot, compareBallots, nextBallot } from './ballot.ts'
import type { Acceptors } from './ports.ts'
import {
  type AttemptState,
  beginAttempt,
  type Electorate,
  everybodyIn,
  type ProposerDecision,
  type ProposerEvent,
  type RegisterChange,
  stepAttempt,
} from './proposer.ts'

export interface RegistersOptions {
  /** Name of this proposer; unique among all that ever propose, across restarts too. 1 to 128 characters. */
  readonly proposer: string
  /** Attempts before a call gives up; default 16. */
  readonly maxAttempts?: number
  /**
   * The first pause after being preempted, in milliseconds; doubled from attempt to attempt, with full jitter. Default 5.
   */
  readonly backoffMs?: number
}

export interface ChangeOptions extends Electorate {
  readonly signal?: AbortSignal | undefined
}

const MAX_BACKOFF_MS = 1000

/**
 * Compare-and-set registers without a leader: CASPaxos. Every call is linearizable. Any number of proposers may work on
 * one register at a time; they may preempt each other, never disagree.
 */
export class Registers {
  readonly #runtime: Runtime
  readonly #acceptors: Acceptors
  readonly #proposer: string
  readonly #maxAttempts: number
  readonly #backoffMs: number
  /** The greatest ballot of this proposer. A ballot that two attempts shared could be accepted with two values. */
  #last: Ballot | undefined

  constructor(runtime: Runtime, collaborators: { readonly acceptors: Acceptors }, options: RegistersOptions) {
    this.#runtime = runtime
    this.#acceptors = collaborators.acceptors
    this.#proposer = checkText('proposer', options.proposer, /^.{1,128}$/, '1 to 128 characters')
    this.#maxAttempts = checkInteger('maxAttempts', options.maxAttempts ?? 16, { min: 1, max: 1000 })
    this.#backoffMs = checkInteger('backoffMs', options.backoffMs ?? 5, { min: 1, max: MAX_BACKOFF_MS })
  }

  /**
   * Applies `change` to the value of a register, and answers the value that was decided.
   *
   * @throws `ATOLL_QUORUM_UNMET` if a majority of the acceptors did not answer, `ATOLL_OVERLOADED` if others kept
   * preempting: `definite` tells if the change certainly did not happen. What `change` throws is passed on.
   */
  async change(
    register: Uint8Array,
    change: RegisterChange,
    options: ChangeOptions,
  ): Promise<Uint8Array | undefined> {
    let seen: Ballot | undefined
    let proposed = false
    for (let attempt = 0; attempt < this.#maxAttempts; attempt++) {
      if (attempt > 0) await this.#pause(attempt, options.signal)
      const ballot = nextBallot(this.#proposer, compareBallots(seen, this.#last) > 0 ? seen : this.#last)
      this.#last = ballot
      const outcome = await this.#attempt(register, beginAttempt(ballot, options, change), options.signal)
      if (outcome.kind === 'decided') return outcome.value
      proposed ||= outcome.proposed
      if (outcome.kind === 'unreachable') {
        const few = `fewer than a majority of ${options.acceptors.length} acceptors answered`
        throw new AtollError('ATOLL_QUORUM_UNMET', few, { definite: !proposed })
      }
      if (compareBallots(outcome.promised, seen) > 0) seen = outcome.promised
    }
    const busy = `others changed the register during each of ${this.#maxAttempts} attempts`
    throw new AtollError('ATOLL_OVERLOADED', busy, { definite: !proposed })
  }

  #attempt(register: Uint8Array, begun: AttemptState, signal: AbortSignal | undefined): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      let attempt = begun
      const feed = (event: ProposerEvent) => {
        try {
          const { state, decision } = stepAttempt(attempt, event)
          attempt = state
          if (decision.kind === 'propose') propose(decision.proposal)
          else if (decision.kind !== 'wait') resolve(decision)
        } catch (error) {
          reject(error)
        }
      }
      const propose = (proposal: Proposal) => {
        for (const from of everybodyIn(begun)) {
          this.#acceptors.accept(from, register, proposal, signal).then(
            (reply) => feed({ kind: 'accepted', from, reply }),
            () => feed({ kind: 'failed', from, phase: 'accept' }),
          )
        }
      }
      for (const from of everybodyIn(begun)) {
        this.#acceptors.prepare(from, register, begun.ballot, signal).then(
          (reply) => feed({ kind: 'prepared', from, reply }),
          () => feed({ kind: 'failed', from, phase: 'prepare' }),
        )
      }
    })
  }

  #pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
    const ceiling = Math.min(MAX_BACKOFF_MS, this.#backoffMs * 2 ** attempt)
    return this.#runtime.clock.sleep(1 + this.#runtime.random.below(ceiling), { signal })
  }
}

type Outcome = Exclude<ProposerDecision, { kind: 'wait' } | { kind: 'propose' }>
