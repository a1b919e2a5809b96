import { AtollError, isAtollError, type Runtime, toHex } from '@atoll/core'
import { decodeDocument, encodeDocument } from './codec.ts'
import type { ClusterDocument } from './document.ts'
import { historyAfter } from './history.ts'
import { withGrowth } from './layout.ts'
import type { Known } from './ledger.ts'
import { MAX_RECENT } from './limits.ts'
import { tellMethod } from './methods.ts'
import { type ReplicasOf, withPromotions } from './promotions.ts'
import { refused } from './refusal.ts'
import { isMajority, votersOf } from './voters.ts'
import { Vote, type VotingParts } from './voting.ts'

/**
 * What to make of a document. Pure: it is applied again if another document was decided in the meantime. What it throws
 * rejects the proposal; answering the very document that it got changes nothing.
 */
export type Edit = (document: ClusterDocument) => ClusterDocument

export interface ProposalLimits {
  readonly maxRounds: number
  readonly backoffMs: number
}

const ID_BYTES = 8
const MAX_BACKOFF_MS = 1000

export interface ProposalParts extends VotingParts {
  readonly replicasOf: ReplicasOf
}

/** One edit on its way to become the next document, in as many rounds as it takes. */
export class Proposal {
  readonly #runtime: Runtime
  readonly #parts: ProposalParts
  readonly #limits: ProposalLimits
  readonly #id: string
  /** The last failure of a vote. */
  #failure: AtollError | undefined
  /** The epoch by which the first vote was held whose document may be decided all the same. */
  #doubtedAt: number | undefined

  constructor(runtime: Runtime, parts: ProposalParts, limits: ProposalLimits) {
    this.#runtime = runtime
    this.#parts = parts
    this.#limits = limits
    this.#id = toHex(runtime.random.bytes(ID_BYTES))
  }

  /** Resolves with the document in which the edit is. */
  async decide(edit: Edit, signal: AbortSignal): Promise<ClusterDocument> {
    for (let round = 0; round < this.#limits.maxRounds; round++) {
      if (round > 0) await this.#pause(round, signal)
      const heard = this.#decided()
      if (heard !== undefined) return heard
      if (signal.aborted) break
      const { fork } = this.#parts.ledger
      if (fork !== undefined) throw fork.error
      const base = memberDocument(this.#parts)
      const edited = edit(base.document)
      if (edited === base.document) return edited
      await this.#vote(base, this.#next(base, edited), signal)
    }
    const done = this.#decided()
    if (done !== undefined) return done
    throw this.#givenUp(signal)
  }

  /** The edited document as the one after `base`, whatever epochs the edit went through, with what follows from it. */
  #next(base: Known, edited: ClusterDocument): ClusterDocument {
    const { document: before, basis } = base
    const epoch = before.epoch + 1
    const recent = [...before.recent, this.#id].slice(-MAX_RECENT)
    const history = historyAfter({ document: before, digest: basis.digest }, edited)
    const next = withGrowth(before, { ...edited, epoch, recent, history })
    return withPromotions(before, next, this.#parts.replicasOf)
  }

  /** The newest document, if the edit is in it. */
  #decided(): ClusterDocument | undefined {
    const document = this.#parts.ledger.known?.document
    return document?.recent.includes(this.#id) === true ? document : undefined
  }

  async #vote(base: Known, next: ClusterDocument, signal: AbortSignal): Promise<void> {
    const { ledger } = this.#parts
    const { epoch } = base.document
    this.#settleDoubt()
    const vote = new Vote(this.#runtime, this.#parts, base)
    try {
      const decided = await vote.decide(encodeDocument(next), signal)
      this.#doubtedAt ??= epoch
      await this.#tellFirst(decided, signal)
      await ledger.learn(decided)
    } catch (error) {
      const goesOn = isAtollError(error) && (error.transient || error.code === 'ATOLL_ABORTED')
      if (!neverProposed(error)) this.#doubtedAt ??= epoch
      if (!goesOn && !signal.aborted) throw error
      // A vote that was cut off says less than the one before it.
      if (isAtollError(error) && !(signal.aborted && this.#failure !== undefined)) this.#failure = error
    }
  }

  /** A newer document without the edit tells that it was not decided before, unless that is too long ago. */
  #settleDoubt(): void {
    const epoch = this.#parts.ledger.known?.document.epoch ?? 0
    const epochs = epoch - (this.#doubtedAt ?? epoch)
    if (epochs > 0 && epochs <= MAX_RECENT) this.#doubtedAt = undefined
  }

  /**
   * Who goes by a document in which it is no member is a stranger to the others, who may not hear of it any more: then
   * nobody would know that it has left. So a majority of those who stay has it on disk first. If they cannot be told, this
   * node stays what it was, and finds the same document decided when it tries again.
   */
  async #tellFirst(decided: Uint8Array, signal: AbortSignal): Promise<void> {
    const { endpoint, ledger, callTimeoutMs: timeoutMs } = this.#parts
    const document = decodeDocument(decided)
    if (ledger.isMember(document)) return
    const others = votersOf(document)
    const calls = others.map((other) =>
      endpoint.call(other, tellMethod, { bytes: decided }, { timeoutMs, signal }),
    )
    const answers = await Promise.allSettled(calls)
    const told = answers.filter(({ status }) => status === 'fulfilled').length
    if (isMajority(told, others.length)) return
    const message = `epoch ${document.epoch} is decided, and ${told} of ${others.length} who stay could be told`
    throw new AtollError('ATOLL_UNREACHABLE', message)
  }

  #givenUp(signal: AbortSignal): AtollError {
    const { known } = this.#parts.ledger
    this.#settleDoubt()
    const definite = this.#doubtedAt === undefined
    const why = this.#failure?.message ?? 'others changed the cluster all the time'
    if (signal.aborted && !isAtollError(signal.reason, 'ATOLL_TIMEOUT')) {
      const message = `a change of the cluster was given up by its caller: ${why}`
      return new AtollError('ATOLL_ABORTED', message, { cause: signal.reason, definite })
    }
    const message = `epoch ${(known?.document.epoch ?? 0) + 1} could not be decided: ${why}`
    return new AtollError('ATOLL_QUORUM_UNMET', message, { cause: this.#failure, definite })
  }

  async #pause(round: number, signal: AbortSignal): Promise<void> {
    const ceilingMs = Math.min(MAX_BACKOFF_MS, this.#limits.backoffMs * 2 ** Math.min(round, 16))
    const pauseMs = 1 + this.#runtime.random.below(ceilingMs)
    await this.#runtime.clock.sleep(pauseMs, { signal }).catch(() => {})
  }
}

/** Only these tell of the vote itself; any other error may hide that something was proposed. */
function neverProposed(error: unknown): boolean {
  const ofVote = isAtollError(error, 'ATOLL_QUORUM_UNMET') || isAtollError(error, 'ATOLL_OVERLOADED')
  return ofVote && error.definite
}

/** Throws `ATOLL_CHANGE_REFUSED` if this node has no document, or is no member in it. */
export function memberDocument({ ledger, node }: Pick<VotingParts, 'ledger' | 'node'>): Known {
  const { known } = ledger
  const what = `change the cluster from ${node}`
  if (known === undefined) throw refused(what, 'it belongs to no cluster yet')
  if (!ledger.isMember(known.document))
    throw refused(what, `it is no member of ${known.document.clusterId} with its data`)
  return known
}
