import { type Acceptors, type AcceptReply, type PrepareReply, Registers } from '@atoll/consensus'
import {
  AtollError,
  encodeTuple,
  ignoreAbort,
  isAtollError,
  listenToAbort,
  messageOf,
  type Runtime,
  toHex,
} from '@atoll/core'
import type { Method, RpcEndpoint } from '@atoll/transport'
import { FORGOTTEN, type Known, type Ledger } from './ledger.ts'
import { acceptMethod, prepareMethod, tellMethod } from './methods.ts'
import type { AcceptRequest, Elsewhere, PrepareRequest } from './protocol.ts'
import { describeUnmetVote } from './unmet-vote.ts'
import { reservesOf, votersOf } from './voters.ts'

export interface VotingParts {
  readonly endpoint: Pick<RpcEndpoint, 'call'>
  readonly ledger: Ledger
  readonly node: string
  readonly callTimeoutMs: number
}

const PROPOSER_BYTES = 8
const MAX_ATTEMPTS = 8

/** Who counts beside the voters that remember, where these are too few; see `Electorate` of `@atoll/consensus`. */
interface Others {
  readonly forgetful: readonly string[]
  readonly reserves: readonly string[]
}

const NOBODY: Others = { forgetful: [], reserves: [] }

/** One question to one member, wherever that is. */
interface Question<Request, Answer> {
  readonly method: Method<Request, Answer>
  readonly request: Request
  readonly ownAnswer: () => Promise<Answer>
}

/**
 * One attempt to get the document after `base` decided by the voters of `base`: a register of its own for each epoch.
 * Answers what was decided, which may be what somebody else proposed. Ends early when somebody has a newer document.
 */
export class Vote {
  readonly #runtime: Runtime
  readonly #parts: VotingParts
  readonly #base: Known
  /** Aborted when the vote cannot lead anywhere any more, and with it every call that still runs. */
  readonly #over = new AbortController()
  readonly #calls = new Set<AbortController>()
  /** Those who have said that they may have forgotten what they voted for. */
  readonly #forgetful = new Set<string>()
  readonly #asking = new Set<Promise<unknown>>()
  /** Those who could not be asked, and why. */
  readonly #silent = new Map<string, string>()

  constructor(runtime: Runtime, parts: VotingParts, base: Known) {
    this.#runtime = runtime
    this.#parts = parts
    this.#base = base
  }

  /**
   * By a majority of those who remember what they voted for. Where these are too few, those who may have forgotten
   * count beside them, as far as whatever was decided before is known to one who remembers, or to nobody; and members
   * that are marked down. Throws `ATOLL_QUORUM_UNMET` and `ATOLL_OVERLOADED` as `Registers.change` does.
   */
  async decide(value: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const abort = () => this.#end(signal.reason)
    listenToAbort(signal, abort)
    try {
      return await this.#change(value)
    } catch (error) {
      if (!isAtollError(error, 'ATOLL_QUORUM_UNMET')) throw error
      const others = this.#others()
      const mayNeedMore = error.definite && others.forgetful.length + others.reserves.length > 0
      if (!mayNeedMore || this.#over.signal.aborted) throw this.#unmet(error)
      return await this.#withOthers(value, others)
    } finally {
      ignoreAbort(signal, abort)
    }
  }

  async #withOthers(value: Uint8Array, others: Others): Promise<Uint8Array> {
    try {
      return await this.#change(value, others)
    } catch (error) {
      if (!isAtollError(error, 'ATOLL_QUORUM_UNMET')) throw error
      // Some had not answered when the majority could not be had any more.
      await Promise.allSettled(this.#asking)
      const known = this.#others()
      const isMore = known.forgetful.length > others.forgetful.length
      if (error.definite && isMore) return this.#withOthers(value, known)
      throw this.#unmet(error, others)
    }
  }

  #others(): Others {
    const { document } = this.#base
    return { forgetful: [...this.#forgetful].sort(), reserves: reservesOf(document) }
  }

  #unmet({ definite }: AtollError, { forgetful, reserves }: Others = NOBODY): AtollError {
    const { signal } = this.#over
    const voters = votersOf(this.#base.document)
    const vote = { voters, reserves, node: this.#parts.node, forgetful, silent: this.#silent }
    const message = signal.aborted ? messageOf(signal.reason) : describeUnmetVote(vote)
    return new AtollError('ATOLL_QUORUM_UNMET', message, { definite })
  }

  async #change(value: Uint8Array, others: Others = NOBODY): Promise<Uint8Array> {
    const { clusterId, epoch, digest } = this.#base.basis
    // A ballot must never be used twice, so every vote has a proposer of its own.
    const proposer = `${this.#parts.node}/${toHex(this.#runtime.random.bytes(PROPOSER_BYTES))}`
    const options = { proposer, maxAttempts: MAX_ATTEMPTS }
    const registers = new Registers(this.#runtime, { acceptors: this.#acceptors(others) }, options)
    const register = encodeTuple(1, [clusterId, epoch + 1, digest])
    const chosen = await registers.change(register, (current) => current ?? value, {
      acceptors: votersOf(this.#base.document),
      ...others,
      signal: this.#over.signal,
    })
    return chosen ?? value
  }

  #acceptors({ forgetful }: Others): Acceptors {
    const { ledger } = this.#parts
    const { basis } = this.#base
    // Programs that do not know of it are never among them.
    const need = (node: string) => (forgetful.includes(node) ? { asForgetful: true } : {})
    return {
      prepare: (node, _, ballot) => {
        const request = { basis, ballot, ...need(node) }
        return this.#ask<PrepareRequest, PrepareReply>(node, {
          method: prepareMethod,
          request,
          ownAnswer: () => ledger.prepare(request),
        })
      },
      accept: (node, _, { ballot, value }) => {
        const request = { basis, ballot, value, ...need(node) }
        return this.#ask<AcceptRequest, AcceptReply>(node, {
          method: acceptMethod,
          request,
          ownAnswer: () => ledger.accept(request),
        })
      },
    }
  }

  async #ask<Request, Reply extends { readonly kind: string }>(
    node: string,
    question: Question<Request, Reply | Elsewhere>,
  ): Promise<Reply> {
    const asking = this.#askUntilHere(node, question)
    this.#asking.add(asking)
    try {
      const reply = await asking
      this.#silent.delete(node)
      return reply
    } catch (error) {
      const hasForgotten = isAtollError(error) && error.details['reason'] === FORGOTTEN.reason
      // A copy that is marked down is of no use: it would count neither as a voter nor as one that remembers.
      if (hasForgotten && votersOf(this.#base.document).includes(node)) this.#forgetful.add(node)
      else this.#silent.set(node, messageOf(error))
      throw error
    } finally {
      this.#asking.delete(asking)
    }
  }

  /** A member that has another document is told of this one, or tells of its own, and is asked once more. */
  async #askUntilHere<Request, Reply extends { readonly kind: string }>(
    node: string,
    question: Question<Request, Reply | Elsewhere>,
  ): Promise<Reply> {
    const first = await this.#askOnce(node, question)
    if (!isElsewhere(first)) return first
    if (first.kind === 'document') await this.#hear(first.bytes)
    await this.#tell(node)
    const second = await this.#askOnce(node, question)
    if (!isElsewhere(second)) return second
    if (second.kind === 'document') await this.#hear(second.bytes)
    throw new AtollError(
      'ATOLL_UNREACHABLE',
      `${node} has another document than epoch ${this.#base.basis.epoch}`,
    )
  }

  async #askOnce<Request, Answer>(node: string, question: Question<Request, Answer>): Promise<Answer> {
    if (node === this.#parts.node) return question.ownAnswer()
    return this.#call(node, question.method, question.request)
  }

  /** Learns what another member has. If that is newer than what is voted on, the vote is over. */
  async #hear(bytes: Uint8Array): Promise<void> {
    const { ledger } = this.#parts
    await ledger.learn(bytes)
    if (ledger.known === this.#base) return
    const message = `another change was decided first, as epoch ${ledger.known?.document.epoch}`
    this.#end(new AtollError('ATOLL_ABORTED', message))
    this.#over.signal.throwIfAborted()
  }

  async #tell(node: string): Promise<void> {
    await this.#call(node, tellMethod, { bytes: this.#base.bytes })
  }

  async #call<Request, Answer>(
    node: string,
    method: Method<Request, Answer>,
    request: Request,
  ): Promise<Answer> {
    this.#over.signal.throwIfAborted()
    const { endpoint, callTimeoutMs: timeoutMs } = this.#parts
    const controller = new AbortController()
    this.#calls.add(controller)
    try {
      return await endpoint.call(node, method, request, { timeoutMs, signal: controller.signal })
    } finally {
      this.#calls.delete(controller)
    }
  }

  #end(reason: unknown): void {
    this.#over.abort(reason)
    for (const call of this.#calls) call.abort(reason)
  }
}

function isElsewhere<Reply extends { readonly kind: string }>(
  answer: Reply | Elsewhere,
): answer is Elsewhere {
  return answer.kind === 'document' || answer.kind === 'behind'
}
