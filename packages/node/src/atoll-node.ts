import { type BucketTypes, Coordinator, decodeBucketProperties, type Replicas } from '@atoll/coordinator'
import {
  AtollError,
  assert,
  attempt,
  closeInOrder,
  isMetricsRegistry,
  Lifecycle,
  type MetricsReader,
  type Runtime,
} from '@atoll/core'
import { type DocumentPort, Gossip, type MemberStatus } from '@atoll/gossip'
import { Handoffs } from '@atoll/handoff'
import {
  type ClusterDocument,
  catchingUp,
  filledReplicas,
  Membership,
  markUp,
  setAddress,
  setBucketType,
} from '@atoll/membership'
import { type CloseOptions, checkClose, ObjectStore } from '@atoll/objects'
import { ownerOfFiled, serveVnodes, VnodeReplicas } from '@atoll/replicas'
import { Placement, type Ring } from '@atoll/ring'
import type { RpcEndpoint } from '@atoll/transport'
import { VNODE_CAPABILITIES, type VnodeHost } from '@atoll/vnode'
import { EventEmitter } from 'eventemitter3'
import { Acquaintances } from './acquaintances.ts'
import { AddressAnnouncer } from './address-announcer.ts'
import { BUCKET_IDS, BucketPeers } from './bucket-peers.ts'
import { CallerAdmission } from './caller-admission.ts'
import { CLOCKS, Clocks } from './clocks.ts'
import { ClusterControl } from './cluster-control.ts'
import { DataMover } from './data-mover.ts'
import { type Departure, Leaving } from './departure.ts'
import { DOCUMENT_MARK, markOf } from './document-mark.ts'
import type { Generation } from './generation.ts'
import { GENERATIONS, HISTORY, Lives } from './lives.ts'
import { lookAround } from './look-around.ts'
import type { Met } from './meeting.ts'
import { epochOfOtherData, otherData } from './node-identity.ts'
import type { NodeNetwork } from './node-network.ts'
import type { NodeSpace } from './node-space.ts'
import type { NodeStorage } from './node-storage.ts'
import { PartitionOwners } from './partition-owners.ts'
import { SeedRounds } from './seed-rounds.ts'

export interface AtollNodeCollaborators {
  readonly network: NodeNetwork
  /** Stands between the coordinator and the replicas; default nothing. */
  readonly around?: ((replicas: Replicas) => Replicas) | undefined
  /** What was made for this node alone, such as its runtime: closed last. */
  readonly own?: { close(): Promise<void> } | undefined
}

/** How a node comes to the document of its cluster. */
export interface AtollNodeStart {
  /** What its storage, a seed, or whoever begins the cluster says. */
  readonly known: ClusterDocument
  /** Addresses where members of the cluster may be. */
  readonly seeds: readonly string[]
  /** The members that were met already. */
  readonly met: readonly Met[]
  readonly zone: string | undefined
  readonly joinTimeoutMs: number
}

export interface AtollNodeEvents {
  /** The node is no longer a member; see `left`. */
  left: (departure: Departure) => void
}

const LOOK_MS = 1000

/** One node: its partitions, its coordinator, its object store. Any node answers any request. */
export class AtollNode extends Lifecycle {
  readonly label: string
  readonly name: string
  readonly runtime: Runtime
  readonly events = new EventEmitter<AtollNodeEvents>()
  /**
   * Resolves when the node is no longer a member of its cluster: it has left, or was replaced. From then on it refuses
   * requests with `ATOLL_CLOSED`. Close it; its data is not needed any more. Does not resolve when the node is closed.
   */
  readonly left: Promise<Departure>
  /** The metrics of this node: `snapshot()`, or `text()` for Prometheus. Nodes that share a runtime share its metrics. */
  readonly metrics: MetricsReader
  /** Buckets and objects. */
  readonly objects: ObjectStore
  /** The key-value store below the objects, for records of your own. */
  readonly kv: Coordinator
  /** Bucket types and their properties, as the cluster has them. `cluster.setBucketType` changes them. */
  readonly bucketTypes: BucketTypes
  /** The replicas that this node keeps. */
  readonly vnodes: VnodeHost
  /** What its storage takes on the disk, and how to give space back at once. */
  readonly storage: NodeSpace
  /** The cluster as this node sees it, and how to change it. */
  readonly cluster: ClusterControl
  readonly #start: AtollNodeStart
  readonly #endpoint: RpcEndpoint
  readonly #others: Acquaintances
  readonly #seeds: SeedRounds
  readonly #leaving: Leaving
  readonly #membership: Membership
  readonly #gossip: Gossip
  readonly #handoffs: Handoffs
  readonly #mover: DataMover
  readonly #owners: PartitionOwners
  readonly #announcer: AddressAnnouncer
  readonly #generation: Generation
  readonly #clocks: Clocks
  readonly #lives: Lives
  readonly #configured: ReadonlyMap<string, Uint8Array>
  readonly #own: AtollNodeCollaborators['own']
  #closing: CloseOptions = {}
  #isAbandoned = false
  #placement: Placement | undefined

  /** Use `createNode` or `createCluster`, which check the options. */
  constructor(storage: NodeStorage, collaborators: AtollNodeCollaborators, start: AtollNodeStart) {
    super()
    const { name, runtime, options, vnodes, bucketTypes, generation } = storage
    const { network, around, own } = collaborators
    this.#own = own
    this.label = `node ${name}`
    this.name = name
    this.runtime = runtime
    this.metrics = metricsOf(runtime)
    this.bucketTypes = bucketTypes
    this.#configured = bucketTypes.toEncoded()
    this.vnodes = vnodes
    this.storage = storage.space
    this.#generation = generation
    this.#start = start
    this.#leaving = new Leaving(name, storage.id)
    this.left = this.#leaving.left
    const { admits } = new CallerAdmission(runtime, {
      document: () => this.#membership.document,
      catchUp: () => this.cluster.catchUp(),
    })
    this.#others = new Acquaintances(runtime, {
      node: name,
      memberId: storage.id,
      network,
      known: start.known,
      met: start.met,
      membership: () => this.#membership,
      admits,
      generation: () => generation.token,
      capabilities: [GENERATIONS, HISTORY, ...VNODE_CAPABILITIES, CLOCKS, BUCKET_IDS],
    })
    const { endpoint } = this.#others
    this.#endpoint = endpoint
    const membership = new Membership(
      runtime,
      { endpoint, storage: storage.cluster, remembers: (known) => generation.remembers(known) },
      { node: name },
    )
    this.#membership = membership
    const document = documentOf(membership)
    this.#gossip = new Gossip(runtime, { endpoint, document }, { ...options.gossip, node: name })
    const ownership = () => this.#owners.ownership
    this.#owners = new PartitionOwners(name)
    this.#lives = new Lives({ node: name, runtime, endpoint, generation, vnodes, owners: this.#owners })
    const isOwn = (partition: number) => ownerOfFiled(partition, vnodes.filed, ownership()) === name
    this.#handoffs = new Handoffs(runtime, { host: vnodes, endpoint, isOwn }, options.handoff ?? {})
    const placement = () => this.#currentPlacement()
    const isUp = (node: string) => this.isUp(node)
    const replicas = new VnodeReplicas({ node: name, host: vnodes, endpoint, ownership })
    const replicasOf = (type: string) => (bucketTypes.has(type) ? bucketTypes.get(type).n : undefined)
    const data = { handoffs: this.#handoffs, vnodes, placement, isUp }
    const types = () => [...bucketTypes.entries()].map(([type]) => type)
    const moved = { ...data, membership, types, replicasOf }
    this.#mover = new DataMover(runtime, moved, { node: name, lookMs: LOOK_MS })
    this.kv = new Coordinator(
      runtime,
      {
        node: name,
        placement: () => this.#leaving.unlessLeft(() => this.#unlessForked(placement)),
        replicas: around?.(replicas) ?? replicas,
        liveness: { isUp, statusOf: (node) => this.#statusOf(node) },
        bucketTypes,
      },
      options.coordinator ?? {},
    )
    this.#clocks = new Clocks({ node: name, runtime, endpoint, document: () => membership.document })
    const common = { node: name, runtime, endpoint, membership, gossip: this.#gossip }
    const below = { kv: this.kv.inner, clocks: this.#clocks, peers: new BucketPeers(common) }
    this.objects = new ObjectStore(runtime, below, options.objects ?? {})
    const edit = (known: ClusterDocument) => this.#returned(known)
    const first = (signal: AbortSignal) => this.#lookAround(signal)
    this.#announcer = new AddressAnnouncer(runtime, { ...common, first, edit })
    this.#seeds = new SeedRounds(runtime, { ...common, seeds: start.seeds, others: this.#others, isUp })
    const told = (known: ClusterDocument) => this.#lives.tell(known)
    const mayBeOlder = (known: ClusterDocument) => generation.mayBeOlder(known)
    this.cluster = new ClusterControl({ ...common, ...data, bucketTypes, told, mayBeOlder })
  }

  get ring(): Ring {
    return this.#currentPlacement().ring
  }

  /** The nodes of every partition, by the newest document that this node has. */
  get placement(): Placement {
    return this.#currentPlacement()
  }

  /** The address of this node that it tells others. */
  get address(): string {
    return this.#others.address
  }

  /** Whether this node believes `node` to be up. */
  isUp(node: string): boolean {
    return this.#gossip.isUp(node) && this.#membership.document?.members.get(node)?.state !== 'down'
  }

  #statusOf(node: string): MemberStatus {
    const isDown = this.#membership.document?.members.get(node)?.state === 'down'
    return isDown ? 'dead' : this.#gossip.statusOf(node)
  }

  protected async onOpen(): Promise<void> {
    this.#isAbandoned = false
    // Before anybody asks: without a document every request would be served, wherever its replica is now.
    this.#follow(this.#start.known)
    await this.vnodes.open()
    await this.#generation.begin()
    await this.#handoffs.open()
    serveVnodes(this.#endpoint, this.vnodes, { ownership: () => this.#owners.ownership })
    this.cluster.serve()
    this.#clocks.serve()
    this.#others.serve()
    this.#endpoint.events.on('peer-mismatched', this.#onMismatch)
    await this.#endpoint.open()
    this.#membership.events.on('changed', this.#onDocument)
    await this.#membership.open()
    await this.#findDocument()
    await this.#seeds.open()
    this.#markDocument()
    await this.#gossip.open()
    // A newer document may have been learnt meanwhile.
    this.#markDocument()
    this.#gossip.events.on('up', this.#mover.lookAnew)
    this.objects.open()
    await this.kv.open()
    await this.#mover.open()
    await this.#announcer.open()
    const { clusterId, epoch, members } = this.cluster.document
    this.#tell('the node is open', { address: this.address, clusterId, epoch, members: members.size })
  }

  /**
   * Resolves with true when the cluster knows of this node what it should, such as that its data is no older copy;
   * until then others are told nothing of what it holds. With false if that cannot be said within `timeoutMs`, about:
   * then it is tried again.
   */
  comeHome(timeoutMs: number): Promise<boolean> {
    return this.#announcer.finish(timeoutMs)
  }

  /** As `close`, but leaves the storage as a power cut would: the next life of the data does not follow on this one. */
  abandon(): Promise<void> {
    this.#generation.abandon()
    this.#isAbandoned = true
    return super.close()
  }

  /**
   * Closes in order. The node refuses new requests with `ATOLL_CLOSED` from now on. Requests under way and bodies that
   * are being read may go on for `drainMs` (default 5000), and are cut then; uploads that are cut delete their blocks.
   * Calls of `kv` end by their own `timeoutMs`. A second call with a smaller `drainMs` shortens the time. Rejects with
   * an error of the storage; the node is closed nevertheless.
   */
  override async close(options: CloseOptions = {}): Promise<void> {
    checkClose(options)
    // `onClose` waits for it as well, and throws what it throws.
    void this.drain(options).catch(() => {})
    return super.close()
  }

  /**
   * What `close` begins with: resolves when no request is under way. Until it is closed the node serves its replicas to
   * others.
   */
  async drain(options: CloseOptions = {}): Promise<void> {
    checkClose(options)
    this.#closing = options
    this.kv.drain()
    await this.objects.close(options)
  }

  /** Requests first, storage last: what was promised meanwhile is still kept. */
  protected async onClose(): Promise<void> {
    try {
      if (!this.#isAbandoned) await this.drain(this.#closing)
      await this.#closeParts()
      this.#tell('the node is closed')
    } finally {
      await this.#own?.close()
    }
  }

  async #closeParts(): Promise<void> {
    this.#gossip.events.off('up', this.#mover.lookAnew)
    try {
      await closeInOrder([
        this.#announcer,
        this.#seeds,
        this.kv,
        this.#mover,
        this.#handoffs,
        this.#gossip,
        this.#membership,
        this.#endpoint,
        this.vnodes,
      ])
    } finally {
      this.#membership.events.off('changed', this.#onDocument)
      this.#endpoint.events.off('peer-mismatched', this.#onMismatch)
    }
  }

  /** From storage, or by beginning a cluster, or by joining one. */
  async #findDocument(): Promise<void> {
    const { known, zone, joinTimeoutMs: timeoutMs } = this.#start
    const membership = this.#membership
    const newest = membership.document ?? known
    const own = newest.members.get(this.name)
    if (own !== undefined && own.id !== membership.id) throw otherData(this.name, membership.id, newest)
    if (membership.document === undefined && own !== undefined) await membership.bootstrap(known)
    else if (membership.document === undefined) {
      const met = this.#start.met.map(({ node }) => node)
      const seeds = [...new Set([...met, ...known.members.keys()])].filter((node) => node !== this.name)
      this.#tell('the node joins a cluster', { members: seeds, address: this.address })
      await membership.join({ seeds, address: this.address, zone, timeoutMs })
    } else if (own === undefined) throw hasLeft(this.name)
    const { document } = membership
    assert(document !== undefined, 'a node has a document once it began a cluster or joined one')
    this.#follow(document)
  }

  /**
   * The address of this node may be another one, it may know bucket types that the cluster does not, and its data has begun
   * another life.
   */
  #returned(document: ClusterDocument): ClusterDocument {
    const own = document.members.get(this.name)
    if (own === undefined) return document
    const placed = this.#others.areFoundByName ? document : setAddress(document, this.name, this.address)
    const here = this.#lives.tell(own.state === 'down' ? markUp(placed, this.name) : placed)
    return [...this.#configured].reduce((known, [name, bytes]) => {
      if (known.bucketTypes.has(name)) return known
      return setBucketType(known, { name, bytes, n: decodeBucketProperties(bytes).n })
    }, here)
  }

  readonly #onDocument = (document: ClusterDocument, previous: ClusterDocument | undefined) => {
    this.#follow(document)
    this.#leave(this.#leaving.look(document))
    this.#others.changed(previous)
    if (this.#gossip.state !== 'open') return
    this.#gossip.announce()
    this.#markDocument()
  }

  /** Tells the others which document this node goes by. */
  #markDocument(): void {
    const { document, bytes } = this.#membership
    if (document === undefined || bytes === undefined) return
    this.#gossip.publish(DOCUMENT_MARK, markOf(document.epoch, bytes, this.runtime.digest.sha1))
  }

  readonly #onMismatch = (_peer: string, reason: AtollError) => {
    const { document } = this.#membership
    if (document === undefined) return
    const { clusterId } = document
    const epoch = epochOfOtherData(reason, clusterId) ?? 0
    if (epoch > document.epoch) this.#leave(this.#leaving.replaced({ clusterId, epoch }))
  }

  #leave(departure: Departure | undefined): void {
    if (departure === undefined) return
    const fields = { node: this.name, ...departure }
    this.runtime.log.warn(fields, 'this node is no member of its cluster any more')
    // Nobody answers it any more.
    this.#gossip.setMembers([])
    attempt(this.runtime, 'listener', () => this.events.emit('left', departure))
  }

  #follow(document: ClusterDocument): void {
    this.bucketTypes.replaceAll(document.bucketTypes, filledReplicas(document))
    const { ring, epoch, replicas: table } = document
    const behind = new Set(catchingUp(document).keys())
    this.#placement = new Placement(ring, epoch, { table, behind })
    this.#owners.follow(document)
    this.#others.follow(document)
    this.#gossip.setMembers(this.#leaving.isOver ? [] : [...document.members.keys()])
    this.#lives.follow(document)
  }

  /**
   * Whether the data is an older copy is known by any other member: it votes once all have been asked who can be
   * reached.
   */
  async #lookAround(signal: AbortSignal): Promise<void> {
    const membership = this.#membership
    const { document } = membership
    if (document === undefined || this.#generation.remembers(document)) return
    await lookAround(this.runtime, { node: this.name, membership, endpoint: this.#endpoint }, signal)
    this.#generation.lookedAround()
  }

  /** By which of two histories a request would be right nobody knows. */
  #unlessForked<T>(get: () => T): T {
    const { fork } = this.#membership
    if (fork !== undefined) throw fork
    return get()
  }

  #tell(message: string, facts: object = {}): void {
    this.runtime.log.info({ node: this.name, ...facts }, message)
  }

  #currentPlacement(): Placement {
    assert(this.#placement !== undefined, `${this.label} has a placement once it is open`)
    return this.#placement
  }
}

function documentOf(membership: Membership): DocumentPort {
  return {
    version: () => membership.document?.epoch ?? 0,
    read: () => membership.bytes,
    learn: async (_version, bytes) => {
      await membership.learn(bytes)
    },
  }
}

/** Metrics that can be read. A runtime whose own cannot gets a registry beside them. */
function metricsOf({ metrics }: Runtime): MetricsReader {
  assert(isMetricsRegistry(metrics), 'createNode and createCluster see to it that metrics can be read')
  return metrics
}

function hasLeft(node: string): AtollError {
  return new AtollError(
    'ATOLL_FORMAT',
    `${node} has left the cluster: on an empty directory it may join anew`,
  )
}
