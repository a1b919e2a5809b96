import type { Replicas } from '@atoll/coordinator'
import {
  AtollError,
  assert,
  checkBoolean,
  checkKnown,
  describe,
  type KeyId,
  Lifecycle,
  type Runtime,
  shielded,
  toHex,
  wrongRange,
  wrongType,
} from '@atoll/core'
import { type ClusterDocument, firstDocument } from '@atoll/membership'
import { type CloseOptions, checkClose } from '@atoll/objects'
import { checkNodeName, checkZoneName, type NodeName, type Placement, type Ring } from '@atoll/ring'
import { MemoryNetwork } from '@atoll/transport'
import { admitAgain } from './admit-again.ts'
import { AtollNode } from './atoll-node.ts'
import type { Census } from './census.ts'
import { checkHeld, knownOf, newest, newestOf } from './known-cluster.ts'
import { memoryNetworkOf } from './node-network.ts'
import { type NodeData, type NodeStorage, openData, openStorage } from './node-storage.ts'
import {
  type ClusterOptions,
  DEFAULT_JOIN_TIMEOUT_MS,
  DEFAULT_N,
  DEFAULT_PARTITIONS,
  validateClusterOptions,
} from './options.ts'
import { bucketTypesOf, checkRuntime } from './part-checks.ts'
import { readableRuntime } from './readable-runtime.ts'
import { nodeDigests, systemRuntime } from './system-runtime.ts'
import { Turns } from './turns.ts'

/** What a node that opens with its cluster cannot say within it is said later. */
const HOME_TIMEOUT_MS = 10_000

/**
 * Several nodes in this process, opened. Each has a database of its own; they talk through `network`.
 *
 * @throws TypeError, RangeError for invalid options; `ATOLL_FORMAT` if a database belongs to another cluster;
 * `ATOLL_LOCKED`, `ATOLL_STORE_UNSUPPORTED` as for a single node. Nothing stays open after a failure.
 */
export async function createCluster(options: ClusterOptions): Promise<Cluster> {
  const cluster = new Cluster(options, validateClusterOptions(options))
  await cluster.open()
  return cluster
}

export class Cluster extends Lifecycle {
  readonly label = 'cluster'
  readonly network: MemoryNetwork
  readonly #options: ClusterOptions
  readonly #names: NodeName[]
  readonly #zones = new Map<NodeName, string>()
  /** Of all nodes that were given no runtime: ended with the cluster. */
  readonly #digest = nodeDigests()
  readonly #runtimes = new Map<NodeName, Runtime>()
  readonly #running = new Map<NodeName, AtollNode>()
  /** Two nodes of one name would share its storage. */
  readonly #turns = new Turns()
  /** What a node knew when it was last heard of, for the questions that are asked while all are down. */
  #last: Placement | undefined
  #closing: CloseOptions = {}

  /** Use `createCluster`, which checks the options. */
  constructor(options: ClusterOptions, names: readonly NodeName[]) {
    super()
    this.#options = options
    this.#names = [...names]
    for (const [node, zone] of Object.entries(options.zones ?? {})) this.#zones.set(node, zone)
    this.network =
      options.network ?? new MemoryNetwork(options.runtime?.('network') ?? this.#ownRuntime(), {})
  }

  /** The nodes that it was opened with, and those that were added since. */
  get names(): readonly NodeName[] {
    return this.#names
  }

  /** Who holds what, by the newest document that a running node has. */
  get placement(): Placement {
    this.assertOpen()
    const placements = this.nodes.map((node) => node.placement)
    this.#last = newest(placements, ({ epoch }) => epoch) ?? this.#last
    assert(this.#last !== undefined, 'an open cluster has had a running node')
    return this.#last
  }

  get ring(): Ring {
    return this.placement.ring
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

  /** Closes a node in order, as `AtollNode.close`. `restart` starts it again. */
  async stop(name: NodeName, options: CloseOptions = {}): Promise<void> {
    checkClose(options)
    await this.#turns.take(name, async () => {
      const node = this.node(name)
      this.#running.delete(name)
      await node.close(options)
    })
  }

  /** Closes all nodes in order, as `AtollNode.close`: none of them before no node has requests under way. */
  override async close(options: CloseOptions = {}): Promise<void> {
    checkClose(options)
    this.#closing = options
    for (const node of this.nodes) void node.drain(options)
    return super.close()
  }

  /** Ends a node as a power cut would: its connections break first, and nothing is said to anyone. */
  async crash(name: NodeName): Promise<void> {
    const node = this.node(name)
    this.#running.delete(name)
    this.network.cut(name)
    this.#options.onCrash?.(name)
    await this.#turns.interrupt(name, () => node.abandon().catch(() => {}))
  }

  /**
   * Starts a node that crashed or was stopped, on what its storage kept. One that lost everything is taken back under
   * its old name, which a majority of the others has to decide; they give it copies of what it shall hold. Does nothing
   * for one that runs. `restored` says that its storage is an older copy, as the option of `createNode` does.
   */
  async restart(name: NodeName, options: { readonly restored?: boolean } = {}): Promise<void> {
    this.assertOpen()
    checkKnown('restart', options, ['restored'])
    const restored = checkBoolean('restored', options.restored ?? false)
    await this.#turns.take(name, () => this.#restart(name, restored))
  }

  async #restart(name: NodeName, restored: boolean): Promise<void> {
    this.assertOpen()
    if (this.isRunning(name)) return
    const data = await this.#openData(name)
    const storage = await this.#openAgain(name, data, restored)
    this.network.restore(name)
    if (data.document === undefined) await this.#takeBack(storage)
    else await this.#start(storage, data.document)
  }

  /** Adds a node that joins the cluster: it takes part at once, and holds data when a plan with it is committed. */
  async add(name: NodeName, options: { readonly zone?: string } = {}): Promise<AtollNode> {
    this.assertOpen()
    checkNodeName('name', name)
    checkKnown('add', options, ['zone'])
    const { zone } = options
    if (zone !== undefined) checkZoneName(zone)
    return this.#turns.take(name, () => this.#add(name, zone))
  }

  async #add(name: NodeName, zone: string | undefined): Promise<AtollNode> {
    this.assertOpen()
    if (this.#names.includes(name))
      throw wrongRange('name', `must be new, and the cluster has a node "${name}" already`)
    const { document } = this.#someMember().cluster
    const data = await this.#openData(name)
    const storage = await this.#openStorage(name, data, { elsewhere: document })
    if (zone !== undefined) this.#zones.set(name, zone)
    const node = await this.#start(storage, data.document ?? document)
    this.#names.push(name)
    return node
  }

  /** Forgets a node, which is closed if it runs: for one that has left the cluster, or shall never come back. */
  async forget(name: NodeName): Promise<void> {
    await this.#turns.take(name, async () => {
      this.#assertMember(name)
      const node = this.#running.get(name)
      this.#running.delete(name)
      this.#names.splice(this.#names.indexOf(name), 1)
      await node?.close()
    })
  }

  /** Lets nothing pass between two groups of nodes, in either direction, until `heal`. */
  partition(groupA: readonly NodeName[], groupB: readonly NodeName[]): void {
    for (const [argument, group] of Object.entries({ groupA, groupB })) {
      if (!Array.isArray(group))
        throw wrongType(argument, `must be an array of names of nodes, got ${describe(group)}`)
      for (const name of group) this.#assertMember(name)
    }
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
    return this.#someMember().cluster.census(ids)
  }

  protected async onOpen(): Promise<void> {
    const opened: NodeStorage[] = []
    const data = new Map<NodeName, NodeData>()
    try {
      const known = await this.#openAllData(data)
      for (const [name, of] of data) opened.push(await this.#openStorage(name, of, { elsewhere: known }))
      const first = known ?? this.#firstDocument(opened)
      const isNew = ({ name }: NodeStorage) => known !== undefined && data.get(name)?.document === undefined
      for (const storage of opened.filter((one) => !isNew(one)))
        await this.#start(storage, data.get(storage.name)?.document ?? first)
      for (const storage of opened.filter(isNew)) await this.#takeBack(storage)
      if (known !== undefined) await this.#comeHome()
    } catch (error) {
      const nodes = [...this.#running.values()]
      this.#running.clear()
      await Promise.allSettled(nodes.map((node) => node.close()))
      await Promise.allSettled(opened.map((storage) => storage.vnodes.close()))
      await Promise.allSettled([...data.values()].map(({ database }) => database.close()))
      throw error
    }
  }

  /**
   * The nodes that were opened first had nobody to tell that they are back. Where too few are here for that, it is not
   * waited for.
   */
  async #comeHome(): Promise<void> {
    for (const node of this.nodes) if (!(await node.comeHome(HOME_TIMEOUT_MS))) return
  }

  /**
   * Fills `data`, and answers what it says of the cluster. Nodes that have data already say whether the others belong
   * to them, before anything is made for these.
   */
  async #openAllData(data: Map<NodeName, NodeData>): Promise<ClusterDocument | undefined> {
    const { held = [], nodes } = this.#options
    checkHeld(held, this.#names)
    const documents: ClusterDocument[] = []
    const open = async (name: NodeName) => {
      const one = await this.#openData(name)
      data.set(name, one)
      if (one.document !== undefined) documents.push(one.document)
    }
    for (const name of this.#names.filter((one) => held.includes(one))) await open(name)
    if (nodes === undefined) await this.#leaveOut(data, newestOf(documents))
    knownOf(documents, this.#names)
    for (const name of this.#names.filter((one) => !data.has(one))) await open(name)
    return knownOf(documents, this.#names)
  }

  protected async onClose(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.drain(this.#closing)))
    const outcomes = await this.#closeNodes()
    // Nodes that were being started, or stopped, when they all were to be closed.
    await this.#turns.idle()
    outcomes.push(...(await this.#closeNodes()))
    await this.#digest.close()
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  #closeNodes(): Promise<PromiseSettledResult<void>[]> {
    const { nodes } = this
    this.#running.clear()
    return Promise.allSettled(nodes.map((node) => node.close(this.#closing)))
  }

  #runtimeOf(name: NodeName): Runtime {
    const known = this.#runtimes.get(name)
    if (known !== undefined) return known
    const given = this.#options.runtime?.(name)
    if (given !== undefined) checkRuntime(given)
    const runtime = shielded(given === undefined ? this.#ownRuntime() : readableRuntime(given))
    this.#runtimes.set(name, runtime)
    return runtime
  }

  /** Digest threads are few, and one set of them is enough for all nodes of a process. */
  #ownRuntime(): Runtime {
    const { log, metrics } = this.#options
    return systemRuntime({ digest: this.#digest, ...(log && { log }), ...(metrics && { metrics }) })
  }

  #openData(name: NodeName): Promise<NodeData> {
    const runtime = this.#runtimeOf(name)
    return openData(this.#options.storage(name, runtime), runtime)
  }

  /** By its own document, or else by what is known of the cluster. */
  #openStorage(
    name: NodeName,
    data: NodeData,
    {
      elsewhere,
      isRestored,
    }: { readonly elsewhere: ClusterDocument | undefined; readonly isRestored?: boolean },
  ): Promise<NodeStorage> {
    const known = data.document ?? elsewhere
    const runtime = this.#runtimeOf(name)
    return openStorage(name, data, { runtime, options: this.#options, known, isRestored })
  }

  /** One whose data is lost has to be told by another how many partitions there are. */
  async #openAgain(name: NodeName, data: NodeData, isRestored: boolean): Promise<NodeStorage> {
    let known = data.document
    try {
      known ??= this.#someMember().cluster.document
    } catch (error) {
      await data.database.close()
      throw error
    }
    return this.#openStorage(name, data, { elsewhere: known, isRestored })
  }

  /** Those of which there is data, but which have left: nobody has asked for them by name. */
  async #leaveOut(data: Map<NodeName, NodeData>, known: ClusterDocument | undefined): Promise<void> {
    for (const [name, { database, document }] of data) {
      if (known === undefined || document?.clusterId !== known.clusterId || known.members.has(name)) continue
      data.delete(name)
      this.#names.splice(this.#names.indexOf(name), 1)
      await database.close()
    }
  }

  async #start(storage: NodeStorage, known: ClusterDocument): Promise<AtollNode> {
    const { name } = storage
    const { replicas } = this.#options
    const around = replicas && ((inner: Replicas) => replicas(name, inner))
    const node = new AtollNode(
      storage,
      { network: memoryNetworkOf(this.network, name), around },
      { known, seeds: [], met: [], zone: this.#zones.get(name), joinTimeoutMs: DEFAULT_JOIN_TIMEOUT_MS },
    )
    try {
      await node.open()
    } catch (error) {
      await storage.vnodes.close()
      throw error
    }
    this.#running.set(name, node)
    return node
  }

  /** A node without data under a name that the cluster knows. What else is staged is committed with it. */
  async #takeBack(storage: NodeStorage): Promise<void> {
    const { name, id } = storage
    try {
      await admitAgain(() => this.#someMember().cluster, name, id)
      await this.#start(storage, this.#someMember().cluster.document)
    } catch (error) {
      await storage.vnodes.close()
      throw error
    }
  }

  #firstDocument(storages: readonly NodeStorage[]): ClusterDocument {
    const { partitions = DEFAULT_PARTITIONS, n = DEFAULT_N } = this.#options
    const [first] = storages
    assert(first !== undefined, 'a cluster has at least one node')
    return firstDocument({
      clusterId: toHex(first.runtime.random.bytes(8)),
      partitions,
      n,
      members: storages.map(({ name, id, generation }) => ({
        node: name,
        id,
        generation: generation.token,
        address: name,
        zone: this.#zones.get(name),
      })),
      bucketTypes: bucketTypesOf(this.#options).toEncoded(),
    })
  }

  /** Of the members that run, one that knows the newest document. */
  #someMember(): AtollNode {
    const members = this.nodes.filter(({ name, cluster }) => cluster.document.members.has(name))
    const best = newest(members, ({ placement }) => placement.epoch)
    if (best === undefined) throw new AtollError('ATOLL_UNREACHABLE', 'no member of the cluster runs')
    return best
  }

  #assertMember(name: NodeName): void {
    if (!this.names.includes(name))
      throw wrongRange('name', `must be one of ${this.names.join(', ')}, got ${describe(name)}`)
  }
}
