import { statfs } from 'node:fs/promises'
import type { BucketTypes } from '@atoll/coordinator'
import { AtollError, type Runtime, rootOf } from '@atoll/core'
import { type ClusterDocument, decodeDocument, firstDocument } from '@atoll/membership'
import { type Database, guardDatabase, openDatabase, VnodeHost } from '@atoll/vnode'
import { ClusterStorage, DOCUMENT, decodeClusterRecord, legacyIdOf } from './cluster-storage.ts'
import { Generation } from './generation.ts'
import { NodeSpace, type SpaceOf } from './node-space.ts'
import { type CommonOptions, DEFAULT_PARTITIONS } from './options.ts'
import { bucketTypesOf } from './part-checks.ts'

/** An open database, and what it says of the cluster that its node belongs to. Nothing was written to it. */
export interface NodeData {
  readonly database: Database
  readonly space: NodeSpace
  readonly cluster: ClusterStorage
  readonly document: ClusterDocument | undefined
}

/** The part of a node that has to be open before it takes part in its cluster. */
export interface NodeStorage {
  readonly name: string
  /** Of the data on this database, from its beginning to its loss. */
  readonly id: string
  readonly runtime: Runtime
  readonly cluster: ClusterStorage
  /** The life of the data that has begun with this open. */
  readonly generation: Generation
  readonly bucketTypes: BucketTypes
  readonly vnodes: VnodeHost
  readonly space: NodeSpace
  readonly options: CommonOptions
}

export interface NodeStorageParts {
  readonly runtime: Runtime
  readonly options: CommonOptions
  /** What is known of the cluster; undefined for one that begins. */
  readonly known: ClusterDocument | undefined
  /** True if an operator says that the data is an older copy. Default false. */
  readonly isRestored?: boolean | undefined
}

/**
 * Opens a database and reads what it says of its cluster. It stays closed after a failure. What the cluster notes and
 * what the vnodes write go through one guard, so that neither is written into a database of which a write has failed.
 */
export async function openData(given: Database, runtime: Runtime): Promise<NodeData> {
  const database = guardDatabase(given, { runtime, freeBytes: () => freeBytesBelow(given) })
  await openDatabase(database)
  try {
    const cluster = new ClusterStorage(database, runtime.digest)
    const space = new NodeSpace(spaceOf(given))
    return { database, space, cluster, document: await storedDocument(cluster, runtime) }
  } catch (error) {
    await database.close()
    throw error
  }
}

/** All of a database, of which the given one may be a sublevel. */
function spaceOf(database: Database): SpaceOf {
  const root = rootOf(database)
  return 'status' in root ? root : database
}

/** Of the disk that a database is on, if it says where that is, as classic-level does. */
async function freeBytesBelow(database: Database): Promise<number | undefined> {
  const root = rootOf(database)
  if (!('location' in root && typeof root.location === 'string')) return undefined
  const { bavail, bsize } = await statfs(root.location)
  return bavail * bsize
}

async function storedDocument(
  cluster: ClusterStorage,
  runtime: Runtime,
): Promise<ClusterDocument | undefined> {
  const document = await cluster.get(DOCUMENT)
  if (document !== undefined) return decodeDocument(document)
  const record = await cluster.legacyRecord()
  return record === undefined ? undefined : documentOf(record, runtime)
}

/** Version 0.1.0 kept members and ring alone, fixed for ever: every one of its nodes makes the same document of them. */
function documentOf(record: Uint8Array, { digest }: Runtime): ClusterDocument {
  const { clusterId, members, ring } = decodeClusterRecord(record)
  return firstDocument({
    clusterId,
    partitions: ring.partitions,
    owners: ring.owners,
    bucketTypes: bucketTypesOf({}).toEncoded(),
    members: members.map((node) => ({
      node,
      id: legacyIdOf(clusterId, node, digest.sha1),
      address: node,
      zone: ring.zones.get(node),
    })),
  })
}

/**
 * Opens the vnodes of a node on its database, which belongs to the node from then on; see `VnodeHost.open` for what may
 * be wrong with that. The database is closed after a failure.
 */
export async function openStorage(
  name: string,
  data: NodeData,
  { runtime, options, known, isRestored = false }: NodeStorageParts,
): Promise<NodeStorage> {
  const { database, space, cluster, document } = data
  try {
    const partitions = partitionsOf(known, options)
    checkReplicas(known, options)
    const bucketTypes = bucketTypesOf(options)
    const generation = new Generation({ node: name, runtime, storage: cluster, isRestored })
    const vnodes = new VnodeHost(
      runtime,
      {
        database,
        policyOf: (type) => bucketTypes.policyOf(type),
        lineage: () => generation.lineage(),
        beforeClose: ({ isSound }) => {
          if (!isSound) generation.abandon()
          return generation.end()
        },
      },
      { ...options.vnodes, node: name, partitions },
    )
    await vnodes.open()
    try {
      await generation.begin()
      const legacy = document && legacyIdOf(document.clusterId, name, runtime.digest.sha1)
      const migrating = document?.members.get(name)?.id === legacy
      const id = await cluster.nodeId(runtime, migrating ? legacy : undefined)
      return { name, id, runtime, options, bucketTypes, vnodes, space, cluster, generation }
    } catch (error) {
      // What the vnodes do by themselves would go on. That they cannot be closed either matters less than why.
      await vnodes.close().catch(() => {})
      throw error
    }
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Those of the ring. What the options say is compared until the ring has got more, and then only a memory. */
function partitionsOf(known: ClusterDocument | undefined, { partitions }: CommonOptions): number {
  if (known === undefined) return partitions ?? DEFAULT_PARTITIONS
  const { ring, resizedAt } = known
  if (resizedAt > 0 || (partitions ?? ring.partitions) === ring.partitions) return ring.partitions
  const message = `the ring of the cluster has ${ring.partitions} partitions, not ${partitions}`
  throw new AtollError('ATOLL_FORMAT', message)
}

function checkReplicas(known: ClusterDocument | undefined, { n }: CommonOptions): void {
  if (known === undefined || n === undefined || n === known.n) return
  throw new AtollError('ATOLL_FORMAT', `the cluster was begun with n = ${known.n}, not ${n}`)
}
