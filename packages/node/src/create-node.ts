import { toHex } from '@atoll/core'
import { createRing } from '@atoll/ring'
import { MemoryNetwork } from '@atoll/transport'
import { AtollNode, openStorage } from './atoll-node.ts'
import { type ClusterRecord, joinCluster, readClusterRecord } from './cluster-record.ts'
import { DEFAULT_PARTITIONS, type NodeOptions, validateNodeOptions } from './options.ts'
import { systemRuntime } from './system-runtime.ts'

/**
 * One node on one database, opened: an object store inside the process. It keeps one replica of everything, since two
 * on the same disk would guard against nothing.
 *
 * @throws TypeError, RangeError for options that cannot be; `ATOLL_LOCKED` if another process has the directory;
 * `ATOLL_STORE_UNSUPPORTED` for a database without snapshots; `ATOLL_FORMAT` if it holds something else.
 */
export async function createNode(options: NodeOptions): Promise<AtollNode> {
  validateNodeOptions(options)
  const {
    name = 'n1',
    partitions = DEFAULT_PARTITIONS,
    storage: database,
    runtime = systemRuntime(),
  } = options
  const storage = await openStorage(name, { runtime, database, options })
  try {
    const known = await readClusterRecord(database)
    const owners = Array.from({ length: partitions }, () => name)
    const cluster: ClusterRecord = {
      clusterId: known?.clusterId ?? toHex(runtime.random.bytes(8)),
      members: [name],
      ring: createRing({ partitions, owners, zones: new Map() }),
    }
    await joinCluster(database, cluster)
    const transport = new MemoryNetwork(runtime, {}).transport(name)
    const node = new AtollNode(storage, { transport }, cluster)
    await node.open()
    return node
  } catch (error) {
    await storage.vnodes.close()
    throw error
  }
}
