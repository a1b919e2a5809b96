import { AtollError, type Runtime, toHex } from '@atoll/core'
import { type ClusterDocument, firstDocument } from '@atoll/membership'
import { MemoryNetwork } from '@atoll/transport'
import { AtollNode } from './atoll-node.ts'
import { memoryNetworkOf, networkOf } from './node-network.ts'
import { bucketTypesOf, type NodeStorage, openData, openStorage } from './node-storage.ts'
import { DEFAULT_N, DEFAULT_PARTITIONS, type NodeOptions, validateNodeOptions } from './options.ts'
import { peekDocument } from './peek-document.ts'
import { type SystemRuntime, systemRuntime } from './system-runtime.ts'

const CLUSTER_ID_BYTES = 8

/**
 * One node on one database, opened: an object store inside the process. Alone it keeps one replica of everything, since
 * two on the same disk would guard against nothing; with a transport it begins a cluster, joins one, or comes back to its
 * own.
 *
 * @throws TypeError, RangeError for options that cannot be; `ATOLL_LOCKED` if another process has the directory or the
 * address; `ATOLL_STORE_UNSUPPORTED` for a database without snapshots; `ATOLL_FORMAT` if it holds something else, or if
 * the cluster knows this node with other data; `ATOLL_UNREACHABLE`, `ATOLL_UNAUTHORIZED`, `ATOLL_PROTOCOL` for what the
 * seeds answer; `ATOLL_CHANGE_REFUSED` if the cluster does not take the node.
 */
export async function createNode(options: NodeOptions): Promise<AtollNode> {
  validateNodeOptions(options)
  if (options.runtime !== undefined) return openNode(options, { runtime: options.runtime })
  const own = systemRuntime()
  try {
    return await openNode(options, { runtime: own, own })
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
  const { name = 'n1', transport, seeds = {}, zone } = options
  const network =
    transport === undefined
      ? memoryNetworkOf(new MemoryNetwork(runtime, {}), name)
      : networkOf(transport, runtime, { node: name, membersOnly: options.membersOnly })
  const database = typeof options.storage === 'function' ? options.storage(runtime) : options.storage
  const data = await openData(database, runtime)
  try {
    if (transport === undefined) checkAlone(data.document)
    const joins = data.document === undefined && Object.keys(seeds).some((seed) => seed !== name)
    const known = joins ? await peekDocument(name, network, { runtime, seeds }) : data.document
    const storage = await openStorage(name, data, { runtime, options, known, isRestored: options.restored })
    const node = new AtollNode(
      storage,
      { network, own },
      { known: known ?? beginning(storage, options, network), seeds, zone },
    )
    await node.open()
    return node
  } catch (error) {
    await database.close()
    throw error
  }
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
