import { AtollError, isAtollError, Lifecycle, messageOf, type Runtime, type Timer } from '@atoll/core'
import type { Gossip } from '@atoll/gossip'
import type { ClusterDocument, Edit, Membership } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import type { RpcEndpoint } from '@atoll/transport'
import { newsMethod } from './control-methods.ts'
import { contradict, DOCUMENT_MARK } from './document-mark.ts'

export interface AddressAnnouncerParts {
  readonly node: NodeName
  readonly membership: Membership
  readonly gossip: Pick<Gossip, 'members' | 'isUp' | 'factsOf'>
  readonly endpoint: RpcEndpoint
  /** Done before anything is told, and before this node votes. */
  readonly first: (signal: AbortSignal) => Promise<void>
  /** What the cluster has to be told of this node; answers the same document if it knows. */
  readonly edit: Edit
}

const LOOK_MS = 500
const PROPOSE_TIMEOUT_MS = 5000
/** The first try holds up the open: the others of a cluster that starts as a whole come after this node. */
const FIRST_TIMEOUT_MS = 300
const TELL_TIMEOUT_MS = 2000
/** Members told at a time. Those who are told can be asked by the others. */
const MOST_TOLD = 3

/**
 * A node that opens may be at another address than before. It proposes a document that says so, until that is decided.
 * Others cannot fetch that document from it, since they do not know yet where it is: so it hands its document to
 * members that go on lacking it, or that go by another one of the same epoch.
 */
export class AddressAnnouncer extends Lifecycle {
  readonly label: string
  readonly #runtime: Runtime
  readonly #parts: AddressAnnouncerParts
  #stop = new AbortController()
  /** The epoch of a document that does not allow what is to be told. */
  #refusedAt: number | undefined
  #looking: Promise<void> | undefined
  #timer: Timer | undefined
  /** Who lacked the document at the last look, and which one. */
  #lagging: { readonly epoch: number; readonly nodes: ReadonlySet<NodeName> } = { epoch: 0, nodes: new Set() }

  constructor(runtime: Runtime, parts: AddressAnnouncerParts) {
    super()
    this.label = `address announcer of ${parts.node}`
    this.#runtime = runtime
    this.#parts = parts
  }

  /** Resolves after the first try; what did not succeed is tried again. */
  protected async onOpen(): Promise<void> {
    this.#stop = new AbortController()
    this.#refusedAt = undefined
    await this.#parts.first(this.#stop.signal)
    await this.#look(FIRST_TIMEOUT_MS)
  }

  protected async onClose(): Promise<void> {
    this.#stop.abort(new AtollError('ATOLL_CLOSED', `${this.label} is closed`))
    this.#timer?.cancel()
    await this.#looking
  }

  /**
   * True when the cluster knows of this node what it should; false if it cannot be told within `timeoutMs`: then it is
   * tried again.
   */
  async finish(timeoutMs: number): Promise<boolean> {
    this.assertOpen()
    if (!this.#isDue()) return true
    this.#timer?.cancel()
    await this.#looking
    this.#timer?.cancel()
    this.#looking = this.#look(timeoutMs)
    await this.#looking
    return !this.#isDue()
  }

  async #look(timeoutMs: number): Promise<void> {
    const isNew = this.#isDue() && (await this.#announce(timeoutMs))
    await this.#hand(isNew)
    if (this.#stop.signal.aborted) return
    const look = () => {
      this.#looking = this.#look(PROPOSE_TIMEOUT_MS)
    }
    this.#timer = this.#runtime.clock.timer(LOOK_MS, look, { background: true })
  }

  /**
   * What the document says of this node may become wrong also later: when the others have an older one, they were
   * restored.
   */
  #isDue(): boolean {
    const { membership, edit } = this.#parts
    const { document } = membership
    if (document === undefined || document.epoch === this.#refusedAt) return false
    try {
      return edit(document) !== document
    } catch (error) {
      this.#refused(document, error)
      return false
    }
  }

  /** True if there was something to say, and it is decided. */
  async #announce(timeoutMs: number): Promise<boolean> {
    const { membership, edit } = this.#parts
    const before = membership.document
    try {
      await membership.propose(edit, { timeoutMs, signal: this.#stop.signal })
      return membership.document !== before
    } catch (error) {
      if (this.#stop.signal.aborted) return false
      this.#refused(membership.document, error)
      return false
    }
  }

  /** What is refused for good would be refused again by the same document. */
  #refused(document: ClusterDocument | undefined, error: unknown): void {
    const isTriedAgain = isAtollError(error) && error.transient
    if (!isTriedAgain) this.#refusedAt = document?.epoch ?? 0
    const what = isTriedAgain
      ? 'the cluster could not be told yet that this node is there; it is tried again'
      : 'the cluster does not take what this node tells of itself'
    this.#runtime.log.warn({ node: this.#parts.node, reason: messageOf(error) }, what)
  }

  /** Gossip has had its chance with those who lag since the last look; none of them knows yet what is new. */
  async #hand(isNew: boolean): Promise<void> {
    const { membership, gossip, endpoint, node } = this.#parts
    const { document, bytes, fork } = membership
    if (document === undefined || bytes === undefined) return
    const { epoch } = document
    const markOf = (name: NodeName) => gossip.factsOf(name).get(DOCUMENT_MARK)
    // Once a fork is known, everybody has been told of it.
    const isOther = (name: NodeName) => fork === undefined && contradict(markOf(name), markOf(node))
    const lagging = gossip
      .members()
      .filter((member) => member.node !== node && gossip.isUp(member.node))
      .filter((member) => member.documentVersion < epoch || isOther(member.node))
      .map((member) => member.node)
    const before = this.#lagging.epoch === epoch ? this.#lagging.nodes : new Set<NodeName>()
    this.#lagging = { epoch, nodes: new Set(lagging) }
    const late = lagging.filter((name) => isNew || before.has(name)).slice(0, MOST_TOLD)
    const options = { timeoutMs: TELL_TIMEOUT_MS, signal: this.#stop.signal }
    // Whoever cannot be told now is told at another look.
    await Promise.allSettled(late.map((name) => endpoint.call(name, newsMethod, bytes, options)))
  }
}
