import type { BucketProperties, CoordinatorOptions, MergeFunctions, Replicas } from '@atoll/coordinator'
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkKnown,
  checkMethods,
  checkObject,
  checkText,
  describe,
  type Log,
  MAX_DELAY_MS,
  type Metrics,
  type Runtime,
  wrongRange,
  wrongType,
} from '@atoll/core'
import type { GossipOptions } from '@atoll/gossip'
import type { HandoffOptions } from '@atoll/handoff'
import type { ObjectStoreOptions } from '@atoll/objects'
import { checkNodeName, checkPartitions, checkZoneName, MAX_REPLICAS } from '@atoll/ring'
import type { MemoryNetwork, TransportFactory } from '@atoll/transport'
import type { Database, VnodeHostOptions } from '@atoll/vnode'
import { checkParts, checkRuntime } from './part-checks.ts'

/** What every node of a cluster shares, and a single node as well. Everything may be left out. */
export interface CommonOptions {
  /**
   * Partitions of the ring that a cluster begins with, a power of two from 8 to 1024; default 64. A plan with a
   * `resize` gives it more; until then a cluster with another number is refused, and thereafter this is not looked at.
   */
  readonly partitions?: number
  /**
   * Replicas that the claim keeps apart, 1 to 16; default 3. Fixed when the cluster begins: another number is refused
   * thereafter, and it need not be said again.
   */
  readonly n?: number
  /**
   * Bucket types of your own, and changed properties of the built-in ones. A cluster begins with them; later
   * `node.cluster.setBucketType` changes them everywhere, and what is said here of a type that the cluster knows is ignored.
   */
  readonly bucketTypes?: Readonly<Record<string, Partial<BucketProperties>>>
  /** Merge functions by the name that bucket types know them by. Every node of a cluster needs the same. */
  readonly merges?: MergeFunctions
  /** Where to log; default nowhere. A pino logger fits. With a `runtime` it is the runtime's log, and is not given here. */
  readonly log?: Log
  /** Where numbers go besides `node.metrics`, such as to a client of Prometheus. As `log`, not together with a `runtime`. */
  readonly metrics?: Metrics
  readonly objects?: Partial<ObjectStoreOptions>
  readonly coordinator?: Partial<CoordinatorOptions>
  readonly vnodes?: Partial<VnodeHostOptions>
  readonly gossip?: Partial<GossipOptions>
  readonly handoff?: Partial<HandoffOptions>
}

export interface NodeOptions extends CommonOptions {
  /**
   * Where everything is kept: a database of its own for each node, or what makes one in the runtime of the node. The
   * node opens and closes it. LevelDB (classic-level 2 and 3), memory (memory-level 2 and 3), a value log
   * (`@atoll/value-log-level`), or a sublevel of one of these in which nothing else is kept; `checkStorage` of
   * `@atoll/core` says what is asked of any other. A batch with `sync: true` must not be answered before it, and all
   * before it, would survive a loss of power: no database can promise that by what it says of itself. To be sure of
   * one, count its calls of fdatasync during 20 writes.
   */
  readonly storage: Database | ((runtime: Runtime) => Database)
  /** Default what the data says, or "n1" where there is none. */
  readonly name?: string
  /**
   * Default the real world, quiet, with metrics in memory; its threads end when the node is closed. One that is given
   * here is the giver's to close.
   */
  readonly runtime?: Runtime
  /** How to reach other nodes, such as `tcp({ … })` of `@atoll/transport-tcp`. Without it the node is alone for ever. */
  readonly transport?: TransportFactory
  /**
   * Addresses of members of the cluster, such as "10.0.0.1:7400" or "db.example:7400" (a name may have several
   * addresses); a record from anything to addresses works, too. This node may be among them. A node without data joins
   * the cluster that they know: it takes part at once, and holds data when a plan with it is committed. A node with
   * data asks them where the others are.
   */
  readonly seeds?: readonly string[] | Readonly<Record<string, string>>
  /**
   * Whether this node, if it has no data, begins a cluster; or the name of the node that does, so that all nodes can
   * have the same options. Seeds are asked first: if one of them is of a cluster, the node joins that. Default false.
   * Not looked at without a transport, where a node is alone.
   */
  readonly begin?: boolean | string
  /** How long a node without data looks for a cluster and asks to join it, in milliseconds; default 60 000. */
  readonly joinTimeoutMs?: number
  /** Failure zone; a node without one is a zone of its own. Looked at when the node begins or joins a cluster. */
  readonly zone?: string
  /**
   * Whether members of the cluster alone may call this node; others may ask to join, and for the cluster document. Default
   * true for a transport that has proof of every node's name, which is TLS.
   */
  readonly membersOnly?: boolean
  /**
   * Says that the storage was put back from a copy that was made while the node ran, such as a snapshot of its volume,
   * which cannot be told from a crash: the node gets from the others what the copy lacks. Say it at the first open
   * behind the copy, and not again. A copy of a node that was closed is recognized without it. Default false.
   */
  readonly restored?: boolean
}

export interface ClusterOptions extends CommonOptions {
  /** How many nodes (named n1, n2, …), 1 to 200, or their names. May be left out if `held` names some. */
  readonly nodes?: number | readonly string[]
  /** The nodes of which there is data already, those that have left among them; default nothing is known. */
  readonly held?: readonly string[]
  /** Makes the database of a node, in its runtime: called at start and at every restart. The node opens and closes it. */
  readonly storage: (node: string, runtime: Runtime) => Database
  /** Failure zone of each node; a node that is not named is a zone of its own. */
  readonly zones?: Readonly<Record<string, string>>
  /**
   * The world of each node; default the real one, with threads that end with the cluster. Others are the giver's to
   * close.
   */
  readonly runtime?: (node: string) => Runtime
  /**
   * The network between the nodes; default one without delay or loss, inside the process, in the world
   * `runtime('network')`.
   */
  readonly network?: MemoryNetwork
  /** Called in the middle of `crash`: a simulated disk loses what was not synced here. */
  readonly onCrash?: (node: string) => void
  /**
   * Stands between the coordinator of a node and all replicas, to watch or to lose what it asks of them; default
   * nothing.
   */
  readonly replicas?: (node: string, replicas: Replicas) => Replicas
}

export const DEFAULT_NAME = 'n1'
export const DEFAULT_PARTITIONS = 64
export const DEFAULT_N = 3
export const DEFAULT_JOIN_TIMEOUT_MS = 60_000
const MAX_SEEDS = 64

const COMMON = [
  'partitions',
  'n',
  'bucketTypes',
  'merges',
  'log',
  'metrics',
  'objects',
  'coordinator',
  'vnodes',
  'gossip',
  'handoff',
]
/** The names of all options of `createNode`. */
export const NODE_OPTIONS: readonly string[] = [
  ...COMMON,
  'storage',
  'name',
  'runtime',
  'transport',
  'seeds',
  'begin',
  'joinTimeoutMs',
  'zone',
  'membersOnly',
  'restored',
]
/** The names of all options of `createCluster`. */
export const CLUSTER_OPTIONS: readonly string[] = [
  ...COMMON,
  'nodes',
  'held',
  'storage',
  'zones',
  'runtime',
  'network',
  'onCrash',
  'replicas',
]

/** Throws `TypeError` or `RangeError`, naming the value, for an invalid option. */
export function validateNodeOptions(options: NodeOptions): void {
  checkKnown('createNode', options, NODE_OPTIONS)
  checkStorage(options.storage)
  checkParts(options)
  if (options.runtime !== undefined) checkRuntime(options.runtime)
  if (options.name !== undefined) checkNodeName('name', options.name)
  if (options.transport !== undefined) checkTransport(options.transport)
  checkRing(options)
  if (options.transport === undefined && options.seeds !== undefined)
    throw wrongType('seeds', 'must not be given without a transport: such a node is alone')
  if (options.zone !== undefined) checkZoneName(options.zone)
  for (const name of ['membersOnly', 'restored'] as const)
    if (options[name] !== undefined) checkBoolean(name, options[name])
  seedsOf(options)
  checkBegin(options.begin)
  if (options.joinTimeoutMs !== undefined)
    checkInteger('joinTimeoutMs', options.joinTimeoutMs, { min: 1, max: MAX_DELAY_MS })
}

/** Their addresses. Throws `TypeError` or `RangeError`, naming the value, for what is no list of addresses. */
export function seedsOf({
  seeds = [],
  transport,
}: Pick<NodeOptions, 'seeds' | 'transport'>): readonly string[] {
  // A set or a map has no entries of its own: it would look like no seeds at all.
  if (typeof seeds === 'string')
    throw wrongType('seeds', `must be an array of addresses, got ${describe(seeds)}`)
  const entries = Object.entries(Array.isArray(seeds) ? seeds : checkObject('seeds', seeds))
  checkInteger('seeds.length', entries.length, { min: 0, max: MAX_SEEDS })
  return entries.map(([at, given]) => {
    const address = checkText(`seeds.${at}`, given, /^\S{1,255}$/, 'an address of 1 to 255 characters')
    transport?.checkAddress?.(`seeds.${at}`, address)
    return address
  })
}

function checkTransport(transport: TransportFactory): void {
  checkMethods('transport', transport, ['create'])
  for (const name of ['clusterName', 'listen'] as const)
    checkText(`transport.${name}`, transport[name], /./s, 'a text')
}

function checkBegin(begin: unknown): void {
  if (begin === undefined || typeof begin === 'boolean') return
  if (typeof begin !== 'string')
    throw wrongType('begin', `must be true, false or the name of a node, got ${describe(begin)}`)
  checkNodeName('begin', begin)
}

/** The names of the nodes, after every option was checked. */
export function validateClusterOptions(options: ClusterOptions): readonly string[] {
  checkKnown('createCluster', options, CLUSTER_OPTIONS)
  if (typeof options.storage !== 'function') {
    throw wrongType(
      'storage',
      `must be a function from a node's name to a database, got ${describe(options.storage)}`,
    )
  }
  checkRing(options)
  checkParts(options)
  const names = namesOf(options)
  for (const [zoned, zone] of Object.entries(checkObject('zones', options.zones ?? {}))) {
    if (!names.includes(zoned))
      throw wrongRange('zones', `names "${zoned}", which is none of ${names.join(', ')}`)
    checkZoneName(zone)
  }
  if (options.network !== undefined) checkMethods('network', options.network, ['transport', 'heal'])
  for (const name of ['runtime', 'onCrash', 'replicas'] as const) checkFunction(name, options[name])
  return names
}

function namesOf({ nodes, held = [] }: ClusterOptions): readonly string[] {
  if (nodes === undefined && held.length === 0)
    throw wrongType('nodes', 'must be given: there is no data yet')
  return checkNames(nodes ?? held)
}

function checkNames(nodes: number | readonly string[]): readonly string[] {
  if (typeof nodes === 'number') {
    checkInteger('nodes', nodes, { min: 1, max: 200 })
    return Array.from({ length: nodes }, (_, at) => `n${at + 1}`)
  }
  if (!Array.isArray(nodes))
    throw wrongType('nodes', `must be a number or an array of names, got ${describe(nodes)}`)
  checkInteger('nodes.length', nodes.length, { min: 1, max: 200 })
  for (const [at, name] of nodes.entries()) checkNodeName(`nodes[${at}]`, name)
  const twice = nodes.find((name, at) => nodes.indexOf(name) !== at)
  if (twice !== undefined) throw wrongRange('nodes', `must have different names, got "${twice}" twice`)
  return nodes
}

function checkRing({ partitions = DEFAULT_PARTITIONS, n = DEFAULT_N }: CommonOptions): void {
  checkPartitions(partitions)
  checkInteger('n', n, { min: 1, max: MAX_REPLICAS })
}

function checkStorage(storage: unknown): void {
  if (typeof storage === 'function') return
  if (typeof storage !== 'object' || storage === null || !('sublevel' in storage)) {
    throw wrongType('storage', `must be an abstract-level database or make one, got ${describe(storage)}`)
  }
}
