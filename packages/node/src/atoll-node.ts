import { BucketTypes, Coordinator, type Replicas } from '@atoll/coordinator'
import { Lifecycle, type Runtime } from '@atoll/core'
import { KV_TYPES, ObjectStore } from '@atoll/objects'
import { Placement, type Ring } from '@atoll/ring'
import { RpcEndpoint, type Transport } from '@atoll/transport'
import { type Database, serveVnodes, VnodeHost, VnodeReplicas } from '@atoll/vnode'
import type { ClusterRecord } from './cluster-record.ts'
import { PeerLiveness } from './liveness.ts'
import { type CommonOptions, DEFAULT_PARTITIONS } from './options.ts'

/** The part of a node that has to be open before it is known which cluster the node belongs to. */
export interface NodeStorage {
  readonly name: string
  readonly runtime: Runtime
  readonly database: Database
  readonly bucketTypes: BucketTypes
  readonly vnodes: VnodeHost
  readonly options: CommonOptions
}

/** Opens the vnodes of a node on its database; see `VnodeHost.open` for what may be wrong with that. */
export async function openStorage(
  name: string,
  parts: { readonly runtime: Runtime; readonly database: Database; readonly options: CommonOptions },
): Promise<NodeStorage> {
  const { runtime, database, options } = parts
  const bucketTypes = bucketTypesOf(options)
  const vnodes = new VnodeHost(
    runtime,
    { database, policyOf: (type) => bucketTypes.policyOf(type) },
    { ...options.vnodes, node: name, partitions: options.partitions ?? DEFAULT_PARTITIONS },
  )
  await vnodes.open()
  return { name, ...parts, bucketTypes, vnodes }
}

function bucketTypesOf({ bucketTypes = {} }: CommonOptions): BucketTypes {
  const types = new BucketTypes()
  for (const [type, properties] of Object.entries(KV_TYPES)) types.set(type, properties)
  for (const [type, properties] of Object.entries(bucketTypes)) types.set(type, properties)
  return types
}

const HEARTBEAT = { heartbeatMs: 500, heartbeatTimeoutMs: 500, downAfterMisses: 3 }

export interface AtollNodeCollaborators {
  readonly transport: Transport
  /** Stands between the coordinator and the replicas; default nothing. */
  readonly around?: ((replicas: Replicas) => Replicas) | undefined
}

/** One node: its partitions, its coordinator, its object store. Any node answers any request. */
export class AtollNode extends Lifecycle {
  readonly label: string
  readonly name: string
  readonly runtime: Runtime
  /** Buckets and objects. */
  readonly objects: ObjectStore
  /** The key-value store below the objects, for records of your own. */
  readonly kv: Coordinator
  /** Bucket types and their properties; they may change while the node runs. */
  readonly bucketTypes: BucketTypes
  /** The partitions that this node hosts. */
  readonly vnodes: VnodeHost
  readonly #endpoint: RpcEndpoint
  readonly #liveness: PeerLiveness
  readonly #placement: Placement

  /** Use `createNode` or `createCluster`, which check the options. */
  constructor(storage: NodeStorage, collaborators: AtollNodeCollaborators, cluster: ClusterRecord) {
    super()
    const { name, runtime, options } = storage
    this.label = `node ${name}`
    this.name = name
    this.runtime = runtime
    this.bucketTypes = storage.bucketTypes
    this.vnodes = storage.vnodes
    this.#placement = new Placement(cluster.ring)
    this.#endpoint = new RpcEndpoint(
      runtime,
      { transport: collaborators.transport, addressOf: (node) => node },
      { node: name, clusterId: cluster.clusterId },
    )
    const peers = cluster.members.filter((member) => member !== name)
    this.#liveness = new PeerLiveness(
      runtime,
      { endpoint: this.#endpoint },
      { ...HEARTBEAT, node: name, peers },
    )
    const replicas = new VnodeReplicas({ node: name, host: this.vnodes, endpoint: this.#endpoint })
    this.kv = new Coordinator(
      runtime,
      {
        node: name,
        placement: () => this.#placement,
        replicas: collaborators.around?.(replicas) ?? replicas,
        liveness: this.#liveness,
        bucketTypes: this.bucketTypes,
      },
      options.coordinator ?? {},
    )
    this.objects = new ObjectStore(runtime, { kv: this.kv }, options.objects ?? {})
  }

  get ring(): Ring {
    return this.#placement.ring
  }

  /** Whether this node believes `node` to be up. */
  isUp(node: string): boolean {
    return this.#liveness.isUp(node)
  }

  protected async onOpen(): Promise<void> {
    await this.vnodes.open()
    serveVnodes(this.#endpoint, this.vnodes)
    await this.#endpoint.open()
    await this.#liveness.open()
    await this.kv.open()
  }

  /** Requests first, storage last: what was promised meanwhile is still kept. */
  protected async onClose(): Promise<void> {
    await this.kv.close()
    await this.#liveness.close()
    await this.#endpoint.close()
    await this.vnodes.close()
  }
}
