import { AtollError, decodeWith, encodeWith, equalBytes, type TupleCodec } from '@atoll/core'
import { decodeRing, encodeRing, type NodeName, type Ring } from '@atoll/ring'
import type { Database } from '@atoll/vnode'

/** What a node's database says about the cluster that it belongs to. */
export interface ClusterRecord {
  /** Random, fixed when the cluster was created: nodes of different clusters never talk. */
  readonly clusterId: string
  readonly members: readonly NodeName[]
  readonly ring: Ring
}

const clusterRecordCodec: TupleCodec<ClusterRecord> = {
  name: 'cluster record',
  version: 1,
  encode: ({ clusterId, members, ring }) => [clusterId, members, encodeRing(ring)],
  decode: (reader) => ({
    clusterId: reader.string(),
    members: reader.list((member) => member.string()),
    ring: decodeRing(reader.bytes()),
  }),
}

export function encodeClusterRecord(record: ClusterRecord): Uint8Array {
  return encodeWith(clusterRecordCodec, record)
}

export function decodeClusterRecord(bytes: Uint8Array): ClusterRecord {
  return decodeWith(clusterRecordCodec, bytes)
}

const RECORD_KEY = 'record'

/** The record in a database that its vnode host has opened; undefined in a new one. */
export async function readClusterRecord(database: Database): Promise<ClusterRecord | undefined> {
  const stored = await (await recordsOf(database)).get(RECORD_KEY)
  return stored === undefined ? undefined : decodeClusterRecord(stored)
}

/**
 * Makes the database part of the cluster, for good: opened as part of another one, its data would be misplaced. Throws
 * `ATOLL_FORMAT` if it is part of another one already.
 */
export async function joinCluster(database: Database, record: ClusterRecord): Promise<void> {
  const stored = await readClusterRecord(database)
  if (stored === undefined) return (await recordsOf(database)).put(RECORD_KEY, encodeClusterRecord(record))
  if (equalBytes(encodeClusterRecord(stored), encodeClusterRecord(record))) return
  throw new AtollError('ATOLL_FORMAT', `the data belongs to ${nameOf(stored)}, not to ${nameOf(record)}`)
}

function nameOf({ clusterId, members, ring }: ClusterRecord): string {
  return `cluster ${clusterId} of ${members.join(', ')} with ${ring.partitions} partitions`
}

async function recordsOf(database: Database) {
  const records = database.sublevel<string, Uint8Array>('cluster', {
    keyEncoding: 'utf8',
    valueEncoding: 'view',
  })
  await records.open()
  return records
}
