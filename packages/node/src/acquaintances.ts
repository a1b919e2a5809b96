import { AtollError, EMPTY_BYTES, isAtollError, type Runtime } from '@atoll/core'
import type { ClusterDocument, Membership } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'
import { type Admits, type IdentityPort, RpcEndpoint } from '@atoll/transport'
import { AddressBook } from './address-book.ts'
import { documentMethod } from './control-methods.ts'
import { type MeetAnswer, type MeetParts, type MeetRequest, type Met, meetMethod } from './meeting.ts'
import { NodeIdentity } from './node-identity.ts'
import type { NodeNetwork } from './node-network.ts'

export interface AcquaintancesParts {
  readonly node: NodeName
  /** Of the data of this node. */
  readonly memberId: string
  readonly network: NodeNetwork
  /** What is known of the cluster before this node has its document. */
  readonly known: ClusterDocument
  /** Those who were met already. */
  readonly met: readonly Met[]
  readonly membership: () => Membership
  /** Which methods a member may call, if members alone may call this node. */
  readonly admits: Admits
  /** The life of the data of this node. */
  readonly generation: () => string | undefined
  /** What this node can do, told to every peer. */
  readonly capabilities: readonly string[]
}

const ASK_TIMEOUT_MS = 3000

/** Who the others are to a node and where they listen, and who it is to them. */
export class Acquaintances {
  readonly endpoint: RpcEndpoint
  readonly book: AddressBook
  readonly #runtime: Runtime
  readonly #parts: AcquaintancesParts
  readonly #identity: NodeIdentity
  #isAsking = false

  constructor(runtime: Runtime, parts: AcquaintancesParts) {
    const { node, memberId, network, known, met, admits, generation, capabilities } = parts
    this.#runtime = runtime
    this.#parts = parts
    this.book = new AddressBook(known)
    for (const { node: name, address } of met) this.book.note(name, address)
    this.#identity = new NodeIdentity({
      node,
      memberId,
      generation,
      document: () => this.#parts.membership().document ?? known,
      onNewer: (name) => void this.#askNewer(name),
    })
    const identity: IdentityPort = this.#identity
    this.endpoint = new RpcEndpoint(
      runtime,
      {
        transport: network.transport,
        addressOf: (name) => this.#addressOf(name),
        identity,
        ...(network.membersOnly ? { admits } : {}),
      },
      { node, clusterName: network.clusterName, capabilities },
    )
    this.endpoint.events.on('peer-unreached', (name) => this.book.forget(name))
  }

  /** Where this node listens, as others are told. */
  get address(): string {
    return this.#parts.network.advertise ?? this.endpoint.address
  }

  /** Whether it matters to nobody which addresses the document says. */
  get areFoundByName(): boolean {
    return this.#parts.network.addressOf !== undefined
  }

  /** Answers those who know this node by an address only. Called each time before the endpoint opens. */
  serve(): void {
    this.endpoint.handle(meetMethod, async (request, { from }) => this.#onMeeting(request, from))
  }

  follow(document: ClusterDocument): void {
    this.book.follow(document)
  }

  /** The document of this node is another one: `previous` is undefined for its first. */
  changed(previous: ClusterDocument | undefined): void {
    // Until now it has said that it is of no cluster.
    if (previous === undefined) this.endpoint.introduceAnew()
    this.endpoint.judgeAnew()
  }

  /** How this node meets others whom it knows by an address only. */
  meeting(): Omit<MeetParts, 'signal'> {
    const { clusterId, memberId } = this.#identity.own()
    const { transport } = this.#parts.network
    return { endpoint: this.endpoint, transport, request: { clusterId, memberId, address: this.address } }
  }

  /** A member that is met tells where it is now; whoever has no cluster is told of this one. */
  #onMeeting({ clusterId, memberId, address }: MeetRequest, from: string): MeetAnswer {
    const { document, bytes = EMPTY_BYTES } = this.#parts.membership()
    const isMember = document?.clusterId === clusterId && document?.members.get(from)?.id === memberId
    if (document !== undefined && isMember && address !== undefined) this.book.note(from, address)
    return { address: this.address, bytes }
  }

  /** A peer has a newer document, and cannot be believed to be who it is before that is known here. */
  async #askNewer(node: NodeName): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    try {
      const options = { timeoutMs: ASK_TIMEOUT_MS }
      const { answer } = await this.endpoint.visit(this.#addressOf(node), documentMethod, null, options)
      await this.#parts.membership().learn(answer)
    } catch (error) {
      if (!isAtollError(error)) throw error
      const { node: self } = this.#parts
      this.#runtime.log.info(
        { node: self, peer: node, why: error.message },
        'a newer cluster document could not be fetched',
      )
    } finally {
      this.#isAsking = false
    }
  }

  #addressOf(node: NodeName): string {
    const { node: self, network } = this.#parts
    if (node === self) return network.listen
    const address = network.addressOf?.(node) ?? this.book.addressOf(node)
    if (address !== undefined) return address
    throw new AtollError('ATOLL_UNREACHABLE', `${self} knows no address of ${node}`)
  }
}
