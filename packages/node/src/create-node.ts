import { AtollError, type Runtime, shielded, toHex, wrongType } from '@atoll/core'
import { type ClusterDocument, firstDocument } from '@atoll/membership'
import { MemoryNetwork } from '@atoll/transport'
import { AtollNode } from './atoll-node.ts'
import { type Found, findCluster } from './find-cluster.ts'
import { memoryNetworkOf, type NodeNetwork, networkOf } from './node-network.ts'
import { type NodeData, type NodeStorage, openData, openStorage } from './node-storage.ts'
import {
  DEFAULT_JOIN_TIMEOUT_MS,
  DEFAULT_N,
  DEFAULT_NAME,
  DEFAULT_PARTITIONS,
  type NodeOptions,
  seedsOf,
  validateNodeOptions,
} from './options.ts'
import { bucketTypesOf } from './part-checks.ts'
import { readableRuntime } from './readable-runtime.ts'
import { type SystemRuntime, systemRuntime } from './system-runtime.ts'

const CLUSTER_ID_BYTES = 8

/**
 * One node on one database, opened: an object store inside the process. Alone it keeps one replica of everything, since
 * two on the same disk would guard against nothing. With a transport it comes back to the cluster of its data; without
 * data it joins the cluster of its seeds, or begins one if it is told to.
 *
 * @throws TypeError, RangeError for invalid options; `ATOLL_LOCKED` if another process has the directory or the
 * address; `ATOLL_STORE_UNSUPPORTED` for a database without snapshots; `ATOLL_FORMAT` if it holds something else, or if
 * the cluster knows this node with other data; `ATOLL_UNREACHABLE` if no cluster was found within `joinTimeoutMs`;
 * `ATOLL_UNAUTHORIZED`, `ATOLL_PROTOCOL` for what the seeds answer; `ATOLL_CHANGE_REFUSED` if the cluster does not take
 * the node.
 */
export async function createNode(options: NodeOptions): Promise<AtollNode> {
  validateNodeOptions(options)
  if (options.runtime !== undefined)
    return openNode(options, { runtime: shielded(readableRuntime(options.runtime)) })
  const { log, metrics } = options
  const own = systemRuntime({ ...(log && { log }), ...(metrics && { metrics }) })
  try {
    return await openNode(options, { runtime: shielded(own), own })
  } catch (error) {
    await own.close()
    throw error
  }
}

interface World {
  readonly runtime: Runtime
  /** The same, if it was made for this node alone. */
  readonly own?: SystemRuntime
}

async function openNode(options: NodeOptions, { runtime, own }: World): Promise<AtollNode> {
  const given = typeof options.storage === 'function' ? options.storage(runtime) : options.storage
  const data = await openData(given, runtime)
  try {
    const name = await nameOf(data, options)
    const { transport, zone, joinTimeoutMs = DEFAULT_JOIN_TIMEOUT_MS } = options
    const network =
      transport === undefined
        ? memoryNetworkOf(new MemoryNetwork(runtime, {}), name)
        : networkOf(transport, runtime, { node: name, membersOnly: options.membersOnly })
    if (transport === undefined) checkAlone(data.document)
    const seeds = seedsOf(options)
    const looks = transport !== undefined && data.document === undefined
    const met = looks ? await lookForCluster(name, network, { options, runtime }) : []
    const known = data.document ?? met[0]?.document
    if (options.restored && data.document === undefined)
      runtime.log.warn(
        { node: name },
        `${name} has no data, and so no copy that could be older: it begins empty`,
      )
    const storage = await openStorage(name, data, { runtime, options, known, isRestored: options.restored })
    const start = { known: known ?? beginning(storage, options, network), seeds, met, zone, joinTimeoutMs }
    const node = new AtollNode(storage, { network, own }, start)
    await node.open()
    return node
  } catch (error) {
    await data.database.close()
    throw error
  }
}

/** What the options say, or else whose data it is. */
async function nameOf({ cluster, document }: NodeData, { name }: NodeOptions): Promise<string> {
  const id = await cluster.storedId()
  const owner = [...(document?.members.values() ?? [])].find((member) => member.id === id)?.node
  if (name !== undefined && owner !== undefined && owner !== name)
    throw new AtollError('ATOLL_FORMAT', `the data is that of node ${owner}, not of ${name}`)
  return name ?? owner ?? DEFAULT_NAME
}

/** For a node without data: those who are of the cluster that it is to join, or nobody if it begins one. */
async function lookForCluster(
  name: string,
  network: NodeNetwork,
  { options, runtime }: { readonly options: NodeOptions; readonly runtime: Runtime },
): Promise<Found> {
  const { begin = false, joinTimeoutMs: timeoutMs = DEFAULT_JOIN_TIMEOUT_MS } = options
  const seeds = seedsOf(options)
  const mayBegin = begin === true || begin === name
  if (seeds.length > 0) return findCluster(name, network, { runtime, seeds, mayBegin, timeoutMs })
  if (mayBegin) return []
  const why = typeof begin === 'string' ? `${begin} begins the cluster` : 'it is not to begin a cluster'
  throw wrongType('seeds', `must be given: ${name} has no data, and ${why}`)
}

function checkAlone(document: ClusterDocument | undefined): void {
  if (document === undefined || document.members.size === 1) return
  const members = [...document.members.keys()].join(', ')
  throw new AtollError(
    'ATOLL_FORMAT',
    `the data belongs to cluster ${document.clusterId} of ${members}: a node of it needs a transport`,
  )
}

/** The document of a cluster of this node alone. */
function beginning(
  { name, id, runtime, generation }: NodeStorage,
  options: NodeOptions,
  { advertise, listen }: { readonly advertise: string | undefined; readonly listen: string },
): ClusterDocument {
  const { partitions = DEFAULT_PARTITIONS, n = DEFAULT_N, zone } = options
  return firstDocument({
    clusterId: toHex(runtime.random.bytes(CLUSTER_ID_BYTES)),
    partitions,
    n,
    members: [{ node: name, id, generation: generation.token, address: advertise ?? listen, zone }],
    bucketTypes: bucketTypesOf(options).toEncoded(),
  })
}
