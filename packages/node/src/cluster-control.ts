import { type BucketChanges, type BucketTypes, encodeBucketProperties } from '@atoll/coordinator'
import { AtollError, checkObject, checkText, EMPTY_BYTES, type KeyId, type Runtime } from '@atoll/core'
import type { Gossip, MemberStatus, MemberView } from '@atoll/gossip'
import type { HandoffStatus, Handoffs } from '@atoll/handoff'
import {
  type Change,
  type ClusterDocument,
  type CommitOptions,
  catchingUp,
  type Edit,
  type ForceOptions,
  type Member,
  type MemberState,
  type Membership,
  markDown,
  markUp,
  type Plan,
  type ProposeOptions,
  type Resizing,
  setBucketType,
  stage,
} from '@atoll/membership'
import { checkNodeName, type NodeName, type Placement } from '@atoll/ring'
import type { RpcEndpoint } from '@atoll/transport'
import type { Hinted, StorageState, StoredCounts, VnodeHost } from '@atoll/vnode'
import { type Census, censusMethod, censusOf, holdingsOf } from './census.ts'
import {
  checkChange,
  checkChanges,
  checkForce,
  checkPlan,
  checkPropose,
  checkSignalOptions,
} from './control-checks.ts'
import { documentMethod, newsMethod, sizesMethod, transfersMethod } from './control-methods.ts'

export interface ClusterControlParts {
  readonly node: NodeName
  readonly runtime: Runtime
  readonly endpoint: RpcEndpoint
  readonly membership: Membership
  readonly gossip: Gossip
  readonly handoffs: Handoffs
  readonly vnodes: VnodeHost
  readonly bucketTypes: BucketTypes
  readonly placement: () => Placement
  readonly isUp: (node: NodeName) => boolean
  /** The document once it knows of the life of the data of this node. */
  readonly told: (document: ClusterDocument) => ClusterDocument
  readonly mayBeOlder: (document: ClusterDocument) => boolean
}

export interface MemberReport {
  readonly node: NodeName
  readonly state: MemberState
  readonly liveness: MemberStatus
  readonly address: string
  readonly zone: string | undefined
  /** Partitions of which it holds a replica now. */
  readonly replicas: number
  /** The newest epoch that this node has seen it at; 0 if it has not heard of it. */
  readonly epoch: number
  /**
   * Only for a member whose data was put back from an older copy and has not caught up yet: the members that have not
   * offered it yet what it lacks. Until then it takes writes, and reads do not count on what it lacks.
   */
  readonly catchingUpFrom?: readonly NodeName[]
}

export interface ClusterStatus {
  readonly clusterId: string
  readonly epoch: number
  readonly partitions: number
  readonly members: readonly MemberReport[]
  readonly staged: readonly Change[]
  /** Replicas that have yet to be moved or added, and bucket types whose new replicas have yet to be filled. */
  readonly pendingMoves: number
  readonly pendingRefills: number
  /** The ring has got more partitions, and these members have not filed their records by them yet. */
  readonly resizing: Resizing | undefined
  /** How the database of this node takes writes. */
  readonly storage: StorageState
  /**
   * Records, bytes of keys and values, and tombstones on this node, all replicas that it has, and the same by bucket type.
   * What is in partitions that are still being counted (`counting`) is not in them: that is so after an upgrade from a
   * build that kept no counts.
   */
  readonly stored: StoredCounts
  /** What this node has noted for others that missed it: it gives it to them once they are up. */
  readonly owed: readonly Owed[]
  /**
   * The data of this node may be an older copy: the members have not decided yet since it was opened. Until they have,
   * it answers no reads of others.
   */
  readonly mayBeOlderCopy: boolean
  /**
   * The first epoch that was decided in two ways, if this node knows of such a one; then it refuses requests with
   * `ATOLL_FORKED`.
   */
  readonly forkedAt: number | undefined
}

export interface Owed {
  readonly node: NodeName
  /** Records, by key. */
  readonly keys: number
  /** Partitions of which every record is offered, because there was too much to be noted by key. */
  readonly partitions: number
}

const ASK_TIMEOUT_MS = 5000
const SETTLED_LOOK_MS = 100
/** How many members are asked for a newer document, and how long each may take. */
const CATCH_UP_ASKS = 3
const CATCH_UP_TIMEOUT_MS = 1000

/** The operations of a cluster, on any of its nodes. A majority of the members decides every change. */
export class ClusterControl {
  readonly #parts: ClusterControlParts

  constructor(parts: ClusterControlParts) {
    this.#parts = parts
  }

  /** The newest document that this node knows. Throws `ATOLL_CLOSED` before the node is open. */
  get document(): ClusterDocument {
    const { document } = this.#parts.membership
    if (document === undefined)
      throw new AtollError('ATOLL_CLOSED', `node ${this.#parts.node} has no cluster yet`)
    return document
  }

  /** Members, their states, and what is pending, as this node knows it. */
  status(): ClusterStatus {
    const { clusterId, epoch, ring, members, staged, moves, refills, resizing } = this.document
    const heard = new Map(this.#parts.gossip.members().map((view) => [view.node, view]))
    const reports = [...members.values()].map((member) => this.#report(member, heard.get(member.node)))
    return {
      clusterId,
      epoch,
      partitions: ring.partitions,
      members: reports,
      staged,
      pendingMoves: moves.length,
      pendingRefills: refills.length,
      resizing,
      storage: this.#parts.vnodes.storage,
      stored: this.#parts.vnodes.stored,
      owed: sumOfHints(this.#parts.vnodes.hints.all()),
      mayBeOlderCopy: this.#parts.mayBeOlder(this.document),
      forkedAt: forkedAt(this.#parts.membership.fork),
    }
  }

  /** Every handoff that is under way. Asks all nodes that are up. */
  async transfers(
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<readonly HandoffStatus[]> {
    const { signal } = checkSignalOptions('transfers', options)
    const { handoffs } = this.#parts
    const asked = this.#others().map((node) => this.#ask(node, signal).catch(() => []))
    const all = [handoffs.status(), ...(await Promise.all(asked))].flat()
    return all.filter(({ direction }) => direction === 'out')
  }

  /**
   * Stages a change: nothing moves before a plan with it is committed. A node that joins becomes a member at once, and
   * holds nothing. Throws `ATOLL_CHANGE_REFUSED` if the cluster does not allow it, `ATOLL_QUORUM_UNMET` without a
   * majority.
   */
  async stage(change: Change, options: ProposeOptions = {}): Promise<ClusterDocument> {
    checkChange(change)
    checkPropose('stage', options)
    return this.#parts.membership.stage(change, options)
  }

  /** Takes back the staged change of a node. */
  async unstage(node: NodeName, options: ProposeOptions = {}): Promise<ClusterDocument> {
    checkNodeName('node', node)
    checkPropose('unstage', options)
    return this.#parts.membership.unstage(node, options)
  }

  /** Takes back everything that is staged. */
  async clear(options: ProposeOptions = {}): Promise<ClusterDocument> {
    checkPropose('clear', options)
    return this.#parts.membership.clear(options)
  }

  /** What a commit of the staged changes would do, with the bytes of every transfer as far as its holders tell. */
  async plan(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Plan> {
    const { signal } = checkSignalOptions('plan', options)
    const sizes = await this.#sizes(signal)
    const { node: own, isUp } = this.#parts
    return this.#parts.membership.plan({
      bytesOf: (partition) => sizes.get(partition),
      isUp: (node) => node === own || isUp(node),
    })
  }

  /**
   * Decides exactly this plan, or fails: with `ATOLL_STALE_PLAN` if the cluster changed since it was made, with
   * `ATOLL_UNREACHABLE` if a node that joins is not up, since it has a vote from then on. One that never comes back is taken
   * out of the plan by `unstage`.
   */
  async commit(plan: Plan, options: ProposeOptions & CommitOptions = {}): Promise<ClusterDocument> {
    checkPlan(plan)
    checkPropose('commit', options, ['allowViolations'])
    const { members } = this.document
    const { node: own, isUp } = this.#parts
    const joining = [...plan.members.values()].filter(
      ({ node, state }) => state === 'valid' && members.get(node)?.state === 'joining',
    )
    const absent = joining.map(({ node }) => node).filter((node) => node !== own && !isUp(node))
    if (absent.length > 0) throw joinersAbsent(absent)
    return this.#parts.membership.commit(plan, options)
  }

  /**
   * Marks a node as down until it returns: no node sends it requests, and nobody waits for its vote. It is asked for that
   * only where the others are too few.
   */
  async down(node: NodeName, options: ProposeOptions = {}): Promise<ClusterDocument> {
    checkNodeName('node', node)
    checkPropose('down', options)
    return this.#parts.membership.propose((document) => markDown(document, node), options)
  }

  async up(node: NodeName, options: ProposeOptions = {}): Promise<ClusterDocument> {
    checkNodeName('node', node)
    checkPropose('up', options)
    return this.#parts.membership.propose((document) => markUp(document, node), options)
  }

  /**
   * Creates a bucket type or changes some of its properties, on all nodes. If n is raised, the new replicas are filled
   * in the background. Throws `TypeError` or `RangeError` for invalid properties.
   */
  async setBucketType(
    type: string,
    changes: BucketChanges,
    options: ProposeOptions = {},
  ): Promise<ClusterDocument> {
    checkText('type', type, /./s, 'the name of a bucket type')
    checkObject('changes', changes)
    checkPropose('setBucketType', options)
    const { membership, bucketTypes } = this.#parts
    const edit: Edit = (document) => {
      const nBefore = bucketTypes.has(type) ? bucketTypes.get(type).n : undefined
      const properties = bucketTypes.check(type, changes)
      const bytes = encodeBucketProperties(properties)
      return setBucketType(document, { name: type, bytes, n: properties.n, nBefore })
    }
    return membership.propose(edit, options)
  }

  /**
   * Goes on without a majority: for an operator who knows that the `missing` members are gone for good. They are marked
   * down, and the changes, if there are any, are staged; `plan` and `commit` them as usual then. Decisions of the
   * missing members are lost. It is recorded in the document. It is also how an operator says which of two histories of
   * the cluster counts: that of the node on which it is forced. Throws `ATOLL_CHANGE_REFUSED` while a majority is left
   * without them and there is one history.
   */
  async force(changes: Change | readonly Change[], options: ForceOptions): Promise<ClusterDocument> {
    const all = checkChanges(changes)
    checkForce(options)
    const { membership, told } = this.#parts
    // Whoever decides alone goes on to vote, whatever copy its data is.
    return membership.force((document) => all.reduce(stage, told(document)), options)
  }

  /**
   * How many replicas of these records each member holds, as a primary or as a fallback. Asks every member that is up;
   * a member that does not answer is left out. `node.objects.recordsOf` names the records of an object.
   */
  async census(
    ids: readonly KeyId[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Census> {
    return censusOf(
      { ...this.#censusSite(), others: this.#others(), ...checkSignalOptions('census', options) },
      ids,
    )
  }

  /**
   * Resolves when no replica has to be moved, added, copied or filed anew, and this node's database takes writes;
   * rejects with the reason of `signal`.
   */
  async settled(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkSignalOptions('settled', options)
    const { clock } = this.#parts.runtime
    for (;;) {
      options.signal?.throwIfAborted()
      const { moves, refills, resizing } = this.document
      const isAtRest = moves.length + refills.length === 0 && resizing === undefined
      if (isAtRest && this.#parts.vnodes.storage.failure === undefined) return
      await clock.sleep(SETTLED_LOOK_MS, options)
    }
  }

  /** Asks some members for a newer document than this node has. */
  async catchUp(): Promise<void> {
    const { endpoint, gossip, membership, node } = this.#parts
    const up = gossip.members().filter((member) => member.node !== node && gossip.isUp(member.node))
    const options = { timeoutMs: CATCH_UP_TIMEOUT_MS }
    const asked = up.slice(0, CATCH_UP_ASKS).map(async (member) => {
      const bytes = await endpoint.call(member.node, documentMethod, null, options)
      if (bytes.length > 0) await membership.learn(bytes)
    })
    // Whoever does not answer may be asked another time.
    await Promise.allSettled(asked)
  }

  /** Answers what other nodes ask for `plan` and `transfers`. Called once by the node. */
  serve(): void {
    const { endpoint, handoffs, membership } = this.#parts
    endpoint.handle(documentMethod, async () => membership.bytes ?? EMPTY_BYTES)
    endpoint.handle(newsMethod, async (bytes) => {
      await membership.learn(bytes)
      return null
    })
    endpoint.handle(transfersMethod, async () => handoffs.status())
    endpoint.handle(censusMethod, (ids) => holdingsOf(this.#censusSite(), ids))
    endpoint.handle(sizesMethod, async ({ partitions }) => this.#ownSizes(partitions))
  }

  #report({ node, state, address, zone }: Member, view: MemberView | undefined): MemberReport {
    const { epoch, replicas } = this.document
    const catchingUpFrom = catchingUp(this.document).get(node)
    return {
      ...(catchingUpFrom === undefined ? {} : { catchingUpFrom }),
      node,
      state,
      liveness: this.#parts.gossip.statusOf(node),
      address,
      zone,
      replicas: replicas.filter((holders) => holders.includes(node)).length,
      epoch: node === this.#parts.node ? epoch : (view?.documentVersion ?? 0),
    }
  }

  #censusSite() {
    const { node, runtime, endpoint, vnodes, bucketTypes, placement } = this.#parts
    const replicasOf = (type: string) => bucketTypes.get(type).n
    return { node, runtime, endpoint, vnodes, placement, replicasOf }
  }

  #others(): readonly NodeName[] {
    const { node, isUp } = this.#parts
    return [...this.document.members.keys()].filter((other) => other !== node && isUp(other))
  }

  #ask(node: NodeName, signal: AbortSignal | undefined): Promise<readonly HandoffStatus[]> {
    return this.#parts.endpoint.call(node, transfersMethod, null, { timeoutMs: ASK_TIMEOUT_MS, signal })
  }

  /** Bytes by partition, each asked of its first holder that is up. */
  async #sizes(signal: AbortSignal | undefined): Promise<ReadonlyMap<number, number>> {
    const { node, isUp } = this.#parts
    const shares = new Map<NodeName, number[]>()
    for (const [partition, holders] of this.document.replicas.entries()) {
      const holder = holders.includes(node) ? node : holders.find(isUp)
      if (holder !== undefined) shares.set(holder, [...(shares.get(holder) ?? []), partition])
    }
    const sizes = new Map<number, number>()
    const ask = async (holder: NodeName, partitions: readonly number[]) => {
      const told = await this.#sizesOn(holder, partitions, signal)
      for (const [at, bytes] of told.entries())
        if (bytes !== undefined) sizes.set(partitions[at] ?? -1, bytes)
    }
    await Promise.all([...shares].map(([holder, partitions]) => ask(holder, partitions)))
    return sizes
  }

  /** Nothing from a holder that does not answer, nor from this node while it files its records anew. */
  async #sizesOn(
    holder: NodeName,
    partitions: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<readonly (number | undefined)[]> {
    const { node, endpoint, vnodes } = this.#parts
    if (holder === node)
      return vnodes.filed === this.document.ring.partitions ? this.#ownSizes(partitions) : []
    const options = { timeoutMs: ASK_TIMEOUT_MS, signal }
    return endpoint.call(holder, sizesMethod, { partitions }, options).catch(() => [])
  }

  /** As they are counted; undefined for one that is still being counted. */
  #ownSizes(partitions: readonly number[]): readonly (number | undefined)[] {
    return partitions.map((partition) => {
      const counts = this.#parts.vnodes.countsOf(partition)
      return counts && [...counts.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    })
  }
}

function forkedAt(fork: AtollError | undefined): number | undefined {
  const epoch = fork?.details['epoch']
  return typeof epoch === 'number' ? epoch : undefined
}

function joinersAbsent(absent: readonly NodeName[]): AtollError {
  const [many, it] = [absent.length > 1, absent.length > 1 ? 'them' : 'it']
  const what = `${absent.join(', ')} ${many ? 'join by this plan, and are' : 'joins by this plan, and is'} not up`
  const calls = absent.map((node) => `unstage('${node}')`).join(', ')
  return new AtollError('ATOLL_UNREACHABLE', `${what}; start ${it}, or take ${it} out of the plan: ${calls}`)
}

function sumOfHints(hints: readonly Hinted[]): readonly Owed[] {
  const owed = new Map<NodeName, Owed>()
  for (const { node, keys, isWhole } of hints) {
    const { keys: before, partitions } = owed.get(node) ?? { keys: 0, partitions: 0 }
    owed.set(node, { node, keys: before + keys, partitions: partitions + (isWhole ? 1 : 0) })
  }
  return [...owed.values()]
}
