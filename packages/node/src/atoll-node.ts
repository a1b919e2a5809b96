import { type BucketTypes, Coordinator, decodeBucketProperties, type Replicas } from '@atoll/coordinator'
import {
  assert,
  closeInOrder,
  isAtollError,
  isMetricsRegistry,
  Lifecycle,
  type MetricsReader,
  type Runtime,
} from '@atoll/core'
import { type DocumentPort, Gossip, type MemberStatus } from '@atoll/gossip'
import { Handoffs } from '@atoll/handoff'
import { type ClusterDocument, Membership } from '@atoll/membership'
import { type CloseOptions, checkClose, ObjectStore } from '@atoll/objects'
import { ownerOfFiled, serveVnodes, VnodeReplicas } from '@atoll/replicas'
import type { Placement, Ring } from '@atoll/ring'
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
import { DocumentFollower } from './document-follower.ts'
import { type AtollNodeStart, enterCluster } from './enter-cluster.ts'
import type { Generation } from './generation.ts'
import { GENERATIONS, HISTORY, Lives } from './lives.ts'
import type { NodeNetwork } from './node-network.ts'
import type { NodeSpace } from './node-space.ts'
import type { NodeStorage } from './node-storage.ts'
import { OwnEntry } from './own-entry.ts'
import { PartitionOwners } from './partition-owners.ts'
import { SeedRounds } from './seed-rounds.ts'

export interface AtollNodeCollaborators {
  readonly network: NodeNetwork
  /** Stands between the coordinator and the replicas; default nothing. */
  readonly around?: ((replicas: Replicas) => Replicas) | undefined
  /** What was made for this node alone, such as its runtime: closed last. */
  readonly own?: { close(): Promise<void> } | undefined
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
  readonly #follower: DocumentFollower
  readonly #announcer: AddressAnnouncer
  readonly #generation: Generation
  readonly #clocks: Clocks
  readonly #lives: Lives
  readonly #own: AtollNodeCollaborators['own']
  #closing: CloseOptions = {}
  #isAbandoned = false

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
    const remembers = (known: ClusterDocument) => generation.remembers(known)
    const stored = { endpoint, storage: storage.cluster, remembers, replicasOf: replicasBy }
    const membership = new Membership(runtime, stored, { node: name })
    this.#membership = membership
    const document = documentOf(membership)
    this.#gossip = new Gossip(runtime, { endpoint, document }, { ...options.gossip, node: name })
    const ownership = () => this.#owners.ownership
    this.#owners = new PartitionOwners(name)
    this.#lives = new Lives({ node: name, runtime, endpoint, generation, vnodes, owners: this.#owners })
    const isOwn = (partition: number) => ownerOfFiled(partition, vnodes.filed, ownership()) === name
    this.#handoffs = new Handoffs(runtime, { host: vnodes, endpoint, isOwn }, options.handoff ?? {})
    const common = { node: name, runtime, endpoint, membership, gossip: this.#gossip }
    const [owners, others, leaving, lives] = [this.#owners, this.#others, this.#leaving, this.#lives]
    const onLeft = (departure: Departure) => this.events.emit('left', departure)
    const followed = { ...common, bucketTypes, owners, others, leaving, lives, onLeft }
    this.#follower = new DocumentFollower(followed)
    const placement = () => this.placement
    const isUp = (node: string) => this.isUp(node)
    const replicas = new VnodeReplicas({ node: name, host: vnodes, endpoint, ownership })
    const replicasOf = (type: string) => (bucketTypes.has(type) ? bucketTypes.get(type).n : undefined)
    const data = { handoffs: this.#handoffs, vnodes, placement, isUp }
    const types = () => [...bucketTypes.entries()].map(([type]) => type)
    const moved = { ...data, membership, types, replicasOf }
    this.#mover = new DataMover(runtime, moved, { node: name, lookMs: LOOK_MS })
    const asked = {
      node: name,
      placement: () => leaving.unlessLeft(() => this.#follower.unlessForked(placement)),
      replicas: around?.(replicas) ?? replicas,
      liveness: { isUp, statusOf: (node: string) => this.#statusOf(node) },
      bucketTypes,
    }
    this.kv = new Coordinator(runtime, asked, options.coordinator ?? {})
    this.#clocks = new Clocks({ node: name, runtime, endpoint, document: () => membership.document })
    const below = { kv: this.kv.inner, clocks: this.#clocks, peers: new BucketPeers(common) }
    this.objects = new ObjectStore(runtime, below, options.objects ?? {})
    const { first, edit } = new OwnEntry({ ...common, bucketTypes, generation, lives, others })
    this.#announcer = new AddressAnnouncer(runtime, { ...common, first, edit })
    this.#seeds = new SeedRounds(runtime, { ...common, seeds: start.seeds, others, isUp })
    const told = (known: ClusterDocument) => lives.tell(known)
    const mayBeOlder = (known: ClusterDocument) => generation.mayBeOlder(known)
    this.cluster = new ClusterControl({ ...common, ...data, bucketTypes, told, mayBeOlder })
  }

  get ring(): Ring {
    return this.placement.ring
  }

  /** The nodes of every partition, by the newest document that this node has. */
  get placement(): Placement {
    return this.#follower.placement
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
    this.#follower.follow(this.#start.known)
    await this.vnodes.open()
    await this.#generation.begin()
    await this.#handoffs.open()
    serveVnodes(this.#endpoint, this.vnodes, { ownership: () => this.#owners.ownership })
    this.cluster.serve()
    this.#clocks.serve()
    this.#others.serve()
    this.#endpoint.events.on('peer-mismatched', this.#follower.onMismatch)
    await this.#endpoint.open()
    this.#membership.events.on('changed', this.#follower.onDocument)
    await this.#membership.open()
    const { address } = this
    const { name: node, runtime } = this
    this.#follower.follow(await enterCluster(runtime, this.#membership, { ...this.#start, node, address }))
    await this.#seeds.open()
    this.#follower.mark()
    await this.#gossip.open()
    // A newer document may have been learnt meanwhile.
    this.#follower.mark()
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
      this.#membership.events.off('changed', this.#follower.onDocument)
      this.#endpoint.events.off('peer-mismatched', this.#follower.onMismatch)
    }
  }

  #tell(message: string, facts: object = {}): void {
    this.runtime.log.info({ node: this.name, ...facts }, message)
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

/** Of properties that another program has written this one may be unable to read anything. */
function replicasBy(properties: Uint8Array): number | undefined {
  try {
    return decodeBucketProperties(properties).n
  } catch (error) {
    if (isAtollError(error)) return undefined
    throw error
  }
}
