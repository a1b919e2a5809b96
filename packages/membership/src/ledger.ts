import { type AcceptorState, accept, EMPTY_ACCEPTOR, prepare } from '@atoll/consensus'
import { AtollError, compareBytes, equalBytes, fromUtf8, type Runtime, toHex, utf8 } from '@atoll/core'
import { decodeAcceptor, encodeAcceptor, type KeptAcceptor } from './acceptor-codec.ts'
import { decodeDocument } from './codec.ts'
import type { ClusterDocument } from './document.ts'
import { forkOf } from './history.ts'
import type { MembershipStorage } from './ports.ts'
import type {
  AcceptAnswer,
  AcceptRequest,
  Basis,
  Elsewhere,
  PrepareAnswer,
  PrepareRequest,
} from './protocol.ts'
import { refused } from './refusal.ts'
import { reservesOf, votersOf } from './voters.ts'

const DOCUMENT_KEY = 'document'
const ACCEPTOR_KEY = 'acceptor'
const ID_KEY = 'id'
const ID_BYTES = 16

/** What a node says that may have lost its votes. */
export const FORGOTTEN = { reason: 'votes-forgotten' } as const

/** A document with what names it. */
export interface Known {
  readonly document: ClusterDocument
  readonly bytes: Uint8Array
  readonly basis: Basis
}

export interface LedgerParts {
  readonly storage: MembershipStorage
  readonly node: string
  readonly maxQueued: number
  /** Whether this node still knows all that it has promised and accepted about the epoch after this document. */
  readonly remembers: (document: ClusterDocument) => boolean
  /** Called when another document counts, which is when it is durable. */
  readonly onChanged: (document: ClusterDocument, previous: ClusterDocument | undefined) => void
  /** Called when it is noticed that there are two histories. */
  readonly onForked: (fork: Fork) => void
}

/** Another document of this cluster that does not fit to the own one. */
export interface Fork {
  readonly other: Known
  /** `ATOLL_FORKED`; `details.epoch` is the first that was decided in two ways. */
  readonly error: AtollError
}

/**
 * What a node must not forget of its cluster: its document, and what it promised about the next one. One step after the
 * other, each durable before anybody hears of it.
 */
export class Ledger {
  readonly #runtime: Runtime
  readonly #parts: LedgerParts
  #known: Known | undefined
  #acceptor: KeptAcceptor | undefined
  #fork: Fork | undefined
  #id = ''
  #tail: Promise<unknown> = Promise.resolve()
  #queued = 0

  constructor(runtime: Runtime, parts: LedgerParts) {
    this.#runtime = runtime
    this.#parts = parts
  }

  get known(): Known | undefined {
    return this.#known
  }

  /** Set from when two histories are noticed until a document counts here that settles it. */
  get fork(): Fork | undefined {
    return this.#fork
  }

  /** Of this node's data. */
  get id(): string {
    return this.#id
  }

  /** Reads what is stored; makes an id for data that has none. */
  async load(): Promise<void> {
    const { storage } = this.#parts
    const id = await storage.get(ID_KEY)
    if (id === undefined) {
      const created = toHex(this.#runtime.random.bytes(ID_BYTES))
      await storage.put(ID_KEY, utf8(created))
      this.#id = created
    } else {
      this.#id = fromUtf8(id)
    }
    const acceptor = await storage.get(ACCEPTOR_KEY)
    this.#acceptor = acceptor === undefined ? undefined : decodeAcceptor(acceptor)
    const bytes = await storage.get(DOCUMENT_KEY)
    this.#known = bytes === undefined ? undefined : this.#name(bytes)
    if (this.#known !== undefined)
      this.#runtime.metrics.gauge('atoll_membership_epoch', this.#known.document.epoch)
  }

  /** True if this node is a member with the data that it has. */
  isMember(document: ClusterDocument): boolean {
    return document.members.get(this.#parts.node)?.id === this.#id
  }

  /**
   * Takes a document that is newer; one that was made `upon` another document, only while this node still has that.
   * Resolves with true if it is this node's now. Throws `ATOLL_FORKED` for one of another history.
   */
  learn(bytes: Uint8Array, { upon }: { readonly upon?: Basis } = {}): Promise<boolean> {
    return this.#inOrder(async () => {
      if (upon !== undefined && !this.#stillHas(upon)) return false
      const next = this.#name(bytes)
      this.#check(next.document)
      this.#checkHistory(next)
      if (!this.#isNewer(next)) return false
      await this.#parts.storage.put(DOCUMENT_KEY, bytes)
      const previous = this.#known?.document
      this.#known = next
      if (this.#fork !== undefined && forkedAt(next, this.#fork.other) === undefined) this.#fork = undefined
      this.#runtime.metrics.gauge('atoll_membership_epoch', next.document.epoch)
      this.#parts.onChanged(next.document, previous)
      return true
    })
  }

  prepare({ basis, ballot, asForgetful = false }: PrepareRequest): Promise<PrepareAnswer> {
    return this.#inOrder(async () => {
      const elsewhere = this.#elsewhere(basis)
      if (elsewhere !== undefined) return elsewhere
      if (!asForgetful) this.#checkMemory(basis)
      return this.#step((state) => prepare(state, ballot))
    })
  }

  accept({ basis, ballot, asForgetful = false, value }: AcceptRequest): Promise<AcceptAnswer> {
    return this.#inOrder(async () => {
      const elsewhere = this.#elsewhere(basis)
      if (elsewhere !== undefined) return elsewhere
      if (!asForgetful) this.#checkMemory(basis)
      checkSuccessor(basis, value)
      return this.#step((state) => accept(state, { ballot, value }))
    })
  }

  #name(bytes: Uint8Array): Known {
    const document = decodeDocument(bytes)
    const { clusterId, epoch } = document
    return { document, bytes, basis: { clusterId, epoch, digest: this.#runtime.digest.sha1(bytes) } }
  }

  #stillHas({ epoch, digest }: Basis): boolean {
    const own = this.#known?.basis
    return own !== undefined && own.epoch === epoch && equalBytes(own.digest, digest)
  }

  #check(document: ClusterDocument): void {
    const { node } = this.#parts
    const own = this.#known?.document
    if (own !== undefined && own.clusterId !== document.clusterId) {
      this.#runtime.metrics.count('atoll_membership_refused_total')
      const message = `${node} belongs to cluster ${own.clusterId}, and got a document of ${document.clusterId}`
      throw new AtollError('ATOLL_PROTOCOL', message)
    }
    if (own !== undefined || this.isMember(document)) return
    this.#runtime.metrics.count('atoll_membership_refused_total')
    throw refused(
      `make ${node} part of cluster ${document.clusterId}`,
      'it is no member with the data that it has',
    )
  }

  /**
   * A copy from when its node was the only member has a history that nobody else goes by: it takes the one of the
   * others. These refuse what it says, and go on.
   */
  #checkHistory(next: Known): void {
    const own = this.#known
    const epoch = own && forkedAt(own, next)
    if (own === undefined || epoch === undefined) return
    if (isAlone(own.document) && next.document.epoch > own.document.epoch) return
    const { node } = this.#parts
    const { clusterId } = own.document
    const what = `epoch ${epoch} of cluster ${clusterId} was decided in two ways, as when members were put back from older copies`
    const advice =
      `${node} serves no requests until the history that shall count is forced on a node that has it: ` +
      'cluster.force([], { missing, reason }), with the members of the other side as missing'
    const error = new AtollError('ATOLL_FORKED', `${what}; ${advice}`, { details: { clusterId, epoch } })
    this.#runtime.metrics.count('atoll_membership_conflicts_total')
    if (this.#fork === undefined && !isAlone(next.document)) {
      this.#fork = { other: next, error }
      const fields = { node, epoch, own: own.document.epoch, other: next.document.epoch }
      this.#runtime.log.error(fields, error.message)
      this.#parts.onForked(this.#fork)
    }
    throw error
  }

  #isNewer({ document, bytes }: Known): boolean {
    const own = this.#known
    if (own === undefined || document.epoch > own.document.epoch) return true
    if (document.epoch < own.document.epoch || equalBytes(bytes, own.bytes)) return false
    const { epoch } = document
    this.#runtime.metrics.count('atoll_membership_conflicts_total')
    this.#runtime.log.error(
      { epoch },
      'there are two cluster documents of one epoch; the greater bytes are kept',
    )
    return compareBytes(bytes, own.bytes) > 0
  }

  /** What to answer if the question is not about the document that this node has. */
  #elsewhere(basis: Basis): Elsewhere | undefined {
    const { node } = this.#parts
    const own = this.#known
    const what = `decide epoch ${basis.epoch + 1} on ${node}`
    if (own === undefined) throw refused(what, 'it has no document')
    if (own.basis.clusterId !== basis.clusterId) {
      throw new AtollError(
        'ATOLL_PROTOCOL',
        `${node} belongs to cluster ${own.basis.clusterId}, not ${basis.clusterId}`,
      )
    }
    if (own.basis.epoch < basis.epoch) return { kind: 'behind' }
    if (own.basis.epoch > basis.epoch || !equalBytes(own.basis.digest, basis.digest)) {
      return { kind: 'document', bytes: own.bytes }
    }
    const electorate = [...votersOf(own.document), ...reservesOf(own.document)]
    const votes = this.isMember(own.document) && electorate.includes(node)
    if (!votes) throw refused(what, 'it has no vote')
    if (this.#fork !== undefined) throw this.#fork.error
    return undefined
  }

  /** An acceptor that has lost its votes must not give them again, unless whoever asks counts them for what they are. */
  #checkMemory({ epoch }: Basis): void {
    const { node, remembers } = this.#parts
    if (this.#known !== undefined && remembers(this.#known.document)) return
    const what = `cannot decide epoch ${epoch + 1} on ${node} as if it knew all its votes`
    const why = 'its data may be older than what it has voted for'
    throw new AtollError('ATOLL_CHANGE_REFUSED', `${what}: ${why}`, { details: FORGOTTEN })
  }

  async #step<Reply>(step: (state: AcceptorState) => { state: AcceptorState; reply: Reply }): Promise<Reply> {
    const before = this.#stateOfNext()
    const { state, reply } = step(before)
    if (state !== before && this.#known !== undefined) {
      const { epoch, digest } = this.#known.basis
      const kept = { epoch, digest, state }
      await this.#parts.storage.put(ACCEPTOR_KEY, encodeAcceptor(kept))
      this.#acceptor = kept
    }
    return reply
  }

  /** What is kept counts only for the epoch after the document that this node has. */
  #stateOfNext(): AcceptorState {
    const kept = this.#acceptor
    const basis = this.#known?.basis
    if (kept === undefined || basis === undefined) return EMPTY_ACCEPTOR
    return kept.epoch === basis.epoch && equalBytes(kept.digest, basis.digest) ? kept.state : EMPTY_ACCEPTOR
  }

  async #inOrder<T>(run: () => Promise<T>): Promise<T> {
    const { maxQueued } = this.#parts
    if (this.#queued >= maxQueued)
      throw new AtollError('ATOLL_OVERLOADED', `${maxQueued} steps wait for the disk`)
    this.#queued += 1
    const done = this.#tail.then(run, run)
    this.#tail = done
    try {
      return await done
    } finally {
      this.#queued -= 1
    }
  }
}

function isAlone({ members }: ClusterDocument): boolean {
  return members.size === 1
}

function forkedAt(a: Known, b: Known): number | undefined {
  const digested = ({ document, basis: { digest } }: Known) => ({ document, digest })
  return forkOf(digested(a), digested(b))
}

/** What cannot be read must not be decided: nothing could follow it. */
function checkSuccessor({ clusterId, epoch }: Basis, value: Uint8Array): void {
  const next = decodeDocument(value)
  if (next.clusterId === clusterId && next.epoch === epoch + 1) return
  throw new AtollError(
    'ATOLL_PROTOCOL',
    `epoch ${next.epoch} of ${next.clusterId} does not follow ${epoch} of ${clusterId}`,
  )
}
