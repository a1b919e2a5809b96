import type { Replicas } from '@atoll/coordinator'
import { AtollError, assert, type KeyId, Lifecycle, type Runtime, toHex } from '@atoll/core'
import { claim, createRing, type NodeName, type Ring } from '@atoll/ring'
import { MemoryNetwork } from '@atoll/transport'
import { AtollNode, type NodeStorage, openStorage } from './atoll-node.ts'
import { type Census, countReplicas } from './census.ts'
import { type ClusterRecord, joinCluster, readClusterRecord } from './cluster-record.ts'
import { type ClusterOptions, DEFAULT_N, DEFAULT_PARTITIONS, validateClusterOptions } from './options.ts'
import { nodeDigests, systemRuntime } from './system-runtime.ts'

/**
 * Several nodes in this process, opened. Each has a database of its own; they talk through `network`.
 *
 * @throws TypeError, RangeError for options that cannot be; `ATOLL_FORMAT` if a database belongs to another cluster;
 * `ATOLL_LOCKED`, `ATOLL_STORE_UNSUPPORTED` as for a single node. Nothing stays open after a failure.
 */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const cluster = new Cluster(options, validateClusterOptions(options))
  await cluster.open()
  return cluster
}

export class Cluster extends Lifecycle {
  readonly label = 'cluster'
  readonly names: readonly NodeName[]
  readonly network: MemoryNetwork
  readonly #options: ClusterOptions
  readonly #runtimes = new Map<NodeName, Runtime>()
  readonly #running = new Map<NodeName, AtollNode>()
  #record: ClusterRecord | undefined

  /** Use `createCluster`, which checks the options. */
  constructor(options: ClusterOptions, names: readonly NodeName[]) {
    super()
    this.#options = options
    this.names = names
    const digest = nodeDigests()
    for (const name of names) this.#runtimes.set(name, options.runtime?.(name) ?? systemRuntime({ digest }))
    this.network = options.network ?? new MemoryNetwork(options.runtime?.('network') ?? systemRuntime(), {})
  }

  get ring(): Ring {
    this.assertOpen()
    assert(this.#record !== undefined, 'an open cluster has a record')
    return this.#record.ring
  }

  /** The nodes that run now, in the order of their names. */
  get nodes(): readonly AtollNode[] {
    return this.names.flatMap((name) => this.#running.get(name) ?? [])
  }

  /** A running node by its name, or by its number from 1. Throws `ATOLL_UNREACHABLE` if it is down. */
  node(which: NodeName | number): AtollNode {
    const name = typeof which === 'number' ? (this.names[which - 1] ?? `${which}`) : which
    this.#assertMember(name)
    const node = this.#running.get(name)
    if (node === undefined) throw new AtollError('ATOLL_UNREACHABLE', `node ${name} is down`)
    return node
  }

  isRunning(name: NodeName): boolean {
    this.#assertMember(name)
    return this.#running.has(name)
  }

  /** Ends a node as a power cut would: its connections break first, and nothing is said to anyone. */
  async crash(name: NodeName): Promise<void> {
    const node = this.node(name)
    this.#running.delete(name)
    this.network.cut(name)
    this.#options.onCrash?.(name)
    await node.close().catch(() => {})
  }

  /** Starts a node that crashed, on what its storage kept. Does nothing for one that runs. */
  async restart(name: NodeName): Promise<void> {
    this.assertOpen()
    if (this.isRunning(name)) return
    assert(this.#record !== undefined, 'an open cluster has a record')
    const storage = await this.#openStorage(name)
    await joinCluster(storage.database, this.#record)
    this.network.restore(name)
    await this.#start(storage, this.#record)
  }

  /** Lets nothing pass between two groups of nodes, in either direction, until `heal`. */
  partition(groupA: readonly NodeName[], groupB: readonly NodeName[]): void {
    for (const name of [...groupA, ...groupB]) this.#assertMember(name)
    this.network.partition(groupA, groupB)
  }

  /** Ends every partition. Does not restart nodes. */
  heal(): void {
    this.network.heal()
  }

  /** Resolves when no node repairs or finishes anything in the background any more. */
  async idle(): Promise<void> {
    for (const node of this.nodes) await node.kv.idle()
  }

  /** How many replicas of these records each running node holds, as a primary and as a fallback. */
  census(ids: readonly KeyId[]): Promise<Census> {
    return countReplicas(this.nodes, ids)
  }

  protected async onOpen(): Promise<void> {
    const storages: NodeStorage[] = []
    try {
      for (const name of this.names) storages.push(await this.#openStorage(name))
      const record = await this.#agreeOnRecord(storages)
      for (const storage of storages) await this.#start(storage, record)
      this.#record = record
    } catch (error) {
      await Promise.allSettled(storages.map((storage) => storage.vnodes.close()))
      throw error
    }
  }

  protected async onClose(): Promise<void> {
    const nodes = this.nodes
    this.#running.clear()
    const outcomes = await Promise.allSettled(nodes.map((node) => node.close()))
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  #openStorage(name: NodeName): Promise<NodeStorage> {
    const runtime = this.#runtimes.get(name) ?? systemRuntime()
    return openStorage(name, { runtime, database: this.#options.storage(name), options: this.#options })
  }

  /** What the databases say; a node whose database is new or was lost takes it from the others. */
  async #agreeOnRecord(storages: readonly NodeStorage[]): Promise<ClusterRecord> {
    let known: ClusterRecord | undefined
    for (const { database } of storages) known ??= await readClusterRecord(database)
    const record = { ...(known ?? this.#newRecord()), members: this.names }
    for (const { database } of storages) await joinCluster(database, record)
    return record
  }

  async #start(storage: NodeStorage, record: ClusterRecord): Promise<void> {
    const { name } = storage
    const transport = this.network.transport(name)
    const { replicas } = this.#options
    const around = replicas && ((inner: Replicas) => replicas(name, inner))
    const node = new AtollNode(storage, { transport, around }, record)
    await node.open()
    this.#running.set(name, node)
  }

  #newRecord(): ClusterRecord {
    const { partitions = DEFAULT_PARTITIONS, n = DEFAULT_N, zones = {} } = this.#options
    const members = this.names.map((node) => {
      const zone = zones[node]
      return zone === undefined ? { node } : { node, zone }
    })
    const { owners } = claim({ partitions, members, n })
    const ring = createRing({ partitions, owners, zones: new Map(Object.entries(zones)) })
    return { clusterId: toHex(this.#someRuntime().random.bytes(8)), members: this.names, ring }
  }

  #someRuntime(): Runtime {
    const [first] = this.#runtimes.values()
    assert(first !== undefined, 'a cluster has at least one node')
    return first
  }

  #assertMember(name: NodeName): void {
    if (!this.names.includes(name))
      throw new RangeError(`the cluster has ${this.names.join(', ')}, and no node "${name}"`)
  }
}
