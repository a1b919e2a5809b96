import type { BucketProperties, CoordinatorOptions, Replicas } from '@atoll/coordinator'
import { checkInteger, checkKnown, checkText, describe, type Runtime } from '@atoll/core'
import type { ObjectStoreOptions } from '@atoll/objects'
import type { MemoryNetwork } from '@atoll/transport'
import type { Database, VnodeHostOptions } from '@atoll/vnode'

/** What every node of a cluster shares, and a single node as well. Everything may be left out. */
export interface CommonOptions {
  /** Partitions of the ring, a power of two from 8 to 1024; default 64. Fixed when the data is created. */
  readonly partitions?: number
  /** Bucket types of your own, and changed properties of the built-in ones. */
  readonly bucketTypes?: Readonly<Record<string, Partial<BucketProperties>>>
  readonly objects?: Partial<ObjectStoreOptions>
  readonly coordinator?: Partial<CoordinatorOptions>
  readonly vnodes?: Partial<VnodeHostOptions>
}

export interface NodeOptions extends CommonOptions {
  /** Where everything is kept: a database of its own for each node. The node opens and closes it. */
  readonly storage: Database
  /** Default "n1". */
  readonly name?: string
  /** Default the real world, quiet, with metrics in memory. */
  readonly runtime?: Runtime
}

export interface ClusterOptions extends CommonOptions {
  /** How many nodes (named n1, n2, …), 1 to 200, or their names. */
  readonly nodes: number | readonly string[]
  /** Makes the database of a node: called at start and at every restart. The node opens and closes it. */
  readonly storage: (node: string) => Database
  /** Replicas that the claim keeps apart, 1 to 16; default 3. The n of a bucket type may be smaller, not usefully larger. */
  readonly n?: number
  /** Failure zone of each node; a node that is not named is a zone of its own. */
  readonly zones?: Readonly<Record<string, string>>
  /** The world of each node; default the real one. */
  readonly runtime?: (node: string) => Runtime
  /** The network between the nodes; default one without delay or loss, inside the process, in the world `runtime('network')`. */
  readonly network?: MemoryNetwork
  /** Called in the middle of `crash`: a simulated disk loses what was not synced here. */
  readonly onCrash?: (node: string) => void
  /** Stands between the coordinator of a node and all replicas, to watch or to lose what it asks of them; default nothing. */
  readonly replicas?: (node: string, replicas: Replicas) => Replicas
}

export const DEFAULT_PARTITIONS = 64
export const DEFAULT_N = 3

const COMMON = ['partitions', 'bucketTypes', 'objects', 'coordinator', 'vnodes']
const NODE_OPTIONS = [...COMMON, 'storage', 'name', 'runtime']
const CLUSTER_OPTIONS = [
  ...COMMON,
  'nodes',
  'storage',
  'n',
  'zones',
  'runtime',
  'network',
  'onCrash',
  'replicas',
]

/** Throws `TypeError` or `RangeError`, naming the value, for anything that cannot be. */
export function validateNodeOptions(options: NodeOptions): void {
  checkKnown('createNode', options, NODE_OPTIONS)
  checkStorage(options.storage)
  checkNodeName(options.name ?? 'n1')
  checkPartitions(options.partitions ?? DEFAULT_PARTITIONS)
}

/** The names of the nodes, after every option was checked. */
export function validateClusterOptions(options: ClusterOptions): readonly string[] {
  checkKnown('createCluster', options, CLUSTER_OPTIONS)
  if (typeof options.storage !== 'function') {
    throw new TypeError(
      `storage must be a function from a node's name to a database, got ${describe(options.storage)}`,
    )
  }
  checkPartitions(options.partitions ?? DEFAULT_PARTITIONS)
  checkInteger('n', options.n ?? DEFAULT_N, { min: 1, max: 16 })
  const names = namesOf(options.nodes)
  for (const zoned of Object.keys(options.zones ?? {})) {
    if (!names.includes(zoned))
      throw new RangeError(`zones names "${zoned}", which is none of ${names.join(', ')}`)
  }
  return names
}

function namesOf(nodes: number | readonly string[]): readonly string[] {
  if (typeof nodes === 'number') {
    checkInteger('nodes', nodes, { min: 1, max: 200 })
    return Array.from({ length: nodes }, (_, at) => `n${at + 1}`)
  }
  checkInteger('nodes.length', nodes.length, { min: 1, max: 200 })
  nodes.forEach(checkNodeName)
  const twice = nodes.find((name, at) => nodes.indexOf(name) !== at)
  if (twice !== undefined) throw new RangeError(`nodes must have different names, got "${twice}" twice`)
  return nodes
}

function checkNodeName(name: string): void {
  checkText('name of a node', name, /^[A-Za-z0-9._-]{1,64}$/, '1 to 64 characters of a-z A-Z 0-9 . _ -')
}

function checkPartitions(partitions: number): void {
  checkInteger('partitions', partitions, { min: 8, max: 1024 })
  if ((partitions & (partitions - 1)) !== 0)
    throw new RangeError(`partitions must be a power of two, got ${partitions}`)
}

function checkStorage(storage: unknown): void {
  if (typeof storage !== 'object' || storage === null || !('sublevel' in storage)) {
    throw new TypeError(`storage must be an abstract-level database, got ${describe(storage)}`)
  }
}
