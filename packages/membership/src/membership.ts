import {
  AtollError,
  attempt,
  equalBytes,
  ignoreAbort,
  Lifecycle,
  listenToAbort,
  type Runtime,
  toHex,
  wallTimeOf,
} from '@atoll/core'
import type { NodeName } from '@atoll/ring'
import type { CallContext, RpcEndpoint } from '@atoll/transport'
import { EventEmitter } from 'eventemitter3'
import type { Change } from './changes.ts'
import { encodeDocument } from './codec.ts'
import { type CommitOptions, commit } from './commit.ts'
import type { ClusterDocument } from './document.ts'
import { forcedDocument } from './forcing.ts'
import { joinThrough } from './joining.ts'
import { withGrowth } from './layout.ts'
import { type Fork, Ledger } from './ledger.ts'
import { MAX_RECENT } from './limits.ts'
import { acceptMethod, joinMethod, prepareMethod, tellMethod } from './methods.ts'
import { type MembershipOptions, validateMembershipOptions } from './options.ts'
import { type Plan, type PlanOptions, planOf } from './plan.ts'
import type { MembershipStorage } from './ports.ts'
import { type ReplicasOf, withPromotions } from './promotions.ts'
import { type Edit, memberDocument, Proposal, type ProposalParts } from './proposal.ts'
import type { JoinAnswer, JoinRequest } from './protocol.ts'
import { refused } from './refusal.ts'
import { clearStaged, stage, unstage } from './staging.ts'

export interface ProposeOptions {
  readonly signal?: AbortSignal | undefined
  /** Default is `proposeTimeoutMs` of the options. */
  readonly timeoutMs?: number | undefined
}

export interface MembershipCollaborators {
  /** Must be open before this is opened, and closed after it. */
  readonly endpoint: RpcEndpoint
  readonly storage: MembershipStorage
  /**
   * Whether this node still knows all that it has voted for on what follows this document. While it does not, its vote
   * counts only beside enough others that do, or if all agree. Default is that it does.
   */
  readonly remembers?: ((document: ClusterDocument) => boolean) | undefined
  /**
   * How many replicas a bucket type has by its properties, for types that have fewer than the lists are long: where a list
   * gets shorter, who moves up gets copies of them. Default is that no type has fewer.
   */
  readonly replicasOf?: ReplicasOf | undefined
}

export interface MembershipEvents {
  /** Another document counts on this node, and is durable here. */
  changed: (document: ClusterDocument, previous: ClusterDocument | undefined) => void
}

export interface JoinOptions extends ProposeOptions {
  /** Names of members, to be asked one after the other. */
  readonly seeds: readonly NodeName[]
  /** Where this node listens. */
  readonly address: string
  readonly zone?: string | undefined
}

export interface ForceOptions {
  /** The members that are gone. */
  readonly missing: readonly NodeName[]
  /** For whoever reads the record. */
  readonly reason: string
}

/**
 * A node's part in deciding what its cluster is. Epoch e + 1 is decided by a majority of the voters of document e, in a
 * register of CASPaxos of its own (`@atoll/consensus`); any member proposes, and none is special. Documents that others
 * decided come in by `learn`.
 */
export class Membership extends Lifecycle {
  readonly label: string
  readonly events = new EventEmitter<MembershipEvents>()
  readonly #runtime: Runtime
  readonly #endpoint: RpcEndpoint
  readonly #options: Required<MembershipOptions>
  readonly #ledger: Ledger
  readonly #replicasOf: ReplicasOf
  readonly #running = new Set<AbortController>()

  /** Throws `TypeError` or `RangeError` for invalid options. */
  constructor(runtime: Runtime, collaborators: MembershipCollaborators, options: MembershipOptions) {
    super()
    this.#runtime = runtime
    this.#endpoint = collaborators.endpoint
    this.#replicasOf = collaborators.replicasOf ?? (() => undefined)
    this.#options = validateMembershipOptions(options)
    const { node, maxQueued } = this.#options
    this.label = `membership ${node}`
    const onChanged = (document: ClusterDocument, previous: ClusterDocument | undefined) =>
      void attempt(runtime, 'listener', () => this.events.emit('changed', document, previous))
    const { storage, remembers = () => true } = collaborators
    const onForked = (fork: Fork) => this.#tellOf(fork)
    this.#ledger = new Ledger(runtime, { storage, node, maxQueued, remembers, onChanged, onForked })
  }

  get document(): ClusterDocument | undefined {
    return this.#ledger.known?.document
  }

  /** The document as it is stored and gossiped. */
  get bytes(): Uint8Array | undefined {
    return this.#ledger.known?.bytes
  }

  /** `ATOLL_FORKED` once this node knows that its cluster has two histories, until one of them was forced to count. */
  get fork(): AtollError | undefined {
    return this.#ledger.fork?.error
  }

  /** The id of this node's data. Known once open. */
  get id(): string {
    return this.#ledger.id
  }

  /** True while this node is a member with the data that it has. */
  get isMember(): boolean {
    const { document } = this
    return document !== undefined && this.#ledger.isMember(document)
  }

  /**
   * Takes the first document of a new cluster. Throws `ATOLL_CHANGE_REFUSED` if this node has another one already, or is no
   * member of it.
   */
  async bootstrap(document: ClusterDocument): Promise<void> {
    this.assertOpen()
    const bytes = encodeDocument(document)
    const { known } = this.#ledger
    if (known === undefined) {
      await this.#ledger.learn(bytes)
    } else if (!equalBytes(known.bytes, bytes)) {
      const why = `it belongs to cluster ${known.document.clusterId}`
      throw refused(`begin cluster ${document.clusterId} on ${this.#options.node}`, why)
    }
  }

  /**
   * Takes a document that was decided elsewhere, if it is newer. Resolves when it is durable, with true if it is this
   * node's now.
   *
   * @throws `ATOLL_PROTOCOL` for one of another cluster, `ATOLL_FORKED` for one of another history of this one
   * (`details.epoch` is the first epoch that was decided in two ways), `ATOLL_CORRUPT` or `ATOLL_FORMAT` if it cannot
   * be read, `ATOLL_CHANGE_REFUSED` if this node has none yet and is no member of this one with its data.
   */
  async learn(bytes: Uint8Array): Promise<boolean> {
    this.assertOpen()
    return this.#ledger.learn(bytes)
  }

  /**
   * Changes the cluster. Resolves with the document in which the edit is, when it is decided and durable here.
   *
   * @throws what the edit throws; `ATOLL_CHANGE_REFUSED` if this node is no member; `ATOLL_QUORUM_UNMET` if no majority
   * of the voters answered in time: `definite` tells if the change certainly did not happen; `ATOLL_FORKED` if the
   * cluster has two histories; `ATOLL_ABORTED` by the signal.
   */
  propose(edit: Edit, options: ProposeOptions = {}): Promise<ClusterDocument> {
    return this.#within(options, (signal) =>
      new Proposal(this.#runtime, this.#proposalParts(), this.#options).decide(edit, signal),
    )
  }

  /**
   * Changes the cluster although a majority of its voters is gone: this node decides alone. Only for an operator who
   * knows that the missing ones will not decide anything themselves; if they do, what they decided is lost. It is
   * recorded in the document. The missing ones are marked down unless the edit takes them out. It is also the way out
   * of two histories: the one that it is forced on counts from then on, for all.
   *
   * @throws `ATOLL_CHANGE_REFUSED` if a majority is left without the missing ones and there is one history, or this
   * node is no member; `ATOLL_STALE_PLAN` if this node took another document meanwhile, which then stays.
   */
  async force(edit: Edit, { missing, reason }: ForceOptions): Promise<ClusterDocument> {
    this.assertOpen()
    const { node } = this.#options
    const { document, basis } = memberDocument({ ledger: this.#ledger, node })
    const atMs = wallTimeOf(this.#runtime.clock)
    const isForked = this.#ledger.fork !== undefined
    const forced = forcedDocument(document, edit, { by: node, atMs, missing, reason, isForked })
    const id = toHex(this.#runtime.random.bytes(8))
    const recent = [...document.recent, id].slice(-MAX_RECENT)
    const next = withPromotions(document, withGrowth(document, { ...forced, recent }), this.#replicasOf)
    this.#runtime.log.warn({ epoch: next.epoch, missing, reason }, 'a cluster document was forced')
    this.#runtime.metrics.count('atoll_membership_forced_total')
    const taken = await this.#ledger.learn(encodeDocument(next), { upon: basis })
    if (taken) return next
    throw new AtollError('ATOLL_STALE_PLAN', 'another document came in between; look at it and force again')
  }

  /**
   * Asks members to let this node join, and resolves with the document in which it is `joining`. It owns nothing until
   * somebody commits that. A node that is a member already stays what it is.
   *
   * @throws `ATOLL_CHANGE_REFUSED` if they refuse, as for a name that is taken; else what the last one failed with.
   */
  join({ seeds, address, zone, ...options }: JoinOptions): Promise<ClusterDocument> {
    return this.#within(options, async (signal) => {
      const { node } = this.#options
      const change = { kind: 'join' as const, node, id: this.id, address, zone }
      const parts = { endpoint: this.#endpoint, ledger: this.#ledger }
      if (!this.isMember) await joinThrough(this.#runtime, parts, { seeds, request: { change }, signal })
      return memberDocument({ ledger: this.#ledger, node }).document
    })
  }

  /** Proposes to stage a change. */
  stage(change: Change, options?: ProposeOptions): Promise<ClusterDocument> {
    return this.propose((document) => stage(document, change), options)
  }

  /** Proposes to take back what is staged for a node. */
  unstage(node: NodeName, options?: ProposeOptions): Promise<ClusterDocument> {
    return this.propose((document) => unstage(document, node), options)
  }

  /** Proposes to take back all that is staged. */
  clear(options?: ProposeOptions): Promise<ClusterDocument> {
    return this.propose(clearStaged, options)
  }

  /** What a commit would do. Throws `ATOLL_CHANGE_REFUSED` if this node is no member. */
  plan(options?: PlanOptions): Plan {
    this.assertOpen()
    const { node } = this.#options
    return planOf(memberDocument({ ledger: this.#ledger, node }).document, options)
  }

  /** Proposes to do exactly what a plan says. Throws `ATOLL_STALE_PLAN` if the cluster has changed since. */
  commit(plan: Plan, options: ProposeOptions & CommitOptions = {}): Promise<ClusterDocument> {
    return this.propose((document) => commit(document, plan, options), options)
  }

  protected async onOpen(): Promise<void> {
    await this.#ledger.load()
    const endpoint = this.#endpoint
    endpoint.handle(prepareMethod, (request) => this.#ledger.prepare(request))
    endpoint.handle(acceptMethod, (request) => this.#ledger.accept(request))
    endpoint.handle(tellMethod, async ({ bytes }) => {
      await this.#ledger.learn(bytes)
      return { epoch: this.document?.epoch ?? 0 }
    })
    endpoint.handle(joinMethod, (request, context) => this.#serveJoin(request, context))
  }

  protected async onClose(): Promise<void> {
    const reason = new AtollError('ATOLL_CLOSED', `${this.label} is closed`)
    for (const controller of this.#running) controller.abort(reason)
  }

  async #serveJoin({ change }: JoinRequest, { signal, remainingMs }: CallContext): Promise<JoinAnswer> {
    const isIn = (document: ClusterDocument) => document.members.get(change.node)?.id === change.id
    const edit = (document: ClusterDocument) => (isIn(document) ? document : stage(document, change))
    const document = await this.propose(edit, { signal, timeoutMs: remainingMs })
    return { bytes: encodeDocument(document) }
  }

  /** Those who go by either history are told of the other one, so that nobody goes on by one of them unaware. */
  #tellOf({ other }: Fork): void {
    const { document, bytes } = this
    if (document === undefined || bytes === undefined) return
    const { node, callTimeoutMs: timeoutMs } = this.#options
    const names = new Set([...document.members.keys(), ...other.document.members.keys()])
    for (const name of names) {
      if (name === node) continue
      for (const told of [bytes, other.bytes]) {
        // Whoever is told answers that there are two; who cannot be told now finds out when it meets one of the other
        // history.
        this.#endpoint.call(name, tellMethod, { bytes: told }, { timeoutMs }).catch(() => {})
      }
    }
  }

  #proposalParts(): ProposalParts {
    const { node, callTimeoutMs } = this.#options
    const replicasOf = this.#replicasOf
    return { endpoint: this.#endpoint, ledger: this.#ledger, node, callTimeoutMs, replicasOf }
  }

  /** Runs with a signal that the caller's, the clock and the end of this aborts. */
  async #within<T>(options: ProposeOptions, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    this.assertOpen()
    const { signal, timeoutMs = this.#options.proposeTimeoutMs } = options
    const controller = new AbortController()
    const onAbort = () => controller.abort(signal?.reason)
    const timer = this.#runtime.clock.timer(timeoutMs, () =>
      controller.abort(new AtollError('ATOLL_TIMEOUT', `no result within ${timeoutMs} ms`)),
    )
    if (signal?.aborted) onAbort()
    listenToAbort(signal, onAbort)
    this.#running.add(controller)
    try {
      return await run(controller.signal)
    } finally {
      this.#running.delete(controller)
      ignoreAbort(signal, onAbort)
      timer.cancel()
    }
  }
}
