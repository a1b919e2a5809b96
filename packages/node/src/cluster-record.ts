import { decodeWith, encodeWith, type TupleCodec } from '@atoll/core'
import { decodeRing, encodeRing, type Ring } from '@atoll/ring'

/** What a node's directory says about the cluster that it belongs to. */
export interface ClusterRecord {
  /** Random, fixed when the cluster was created: nodes of different clusters never talk. */
  readonly clusterId: string
  readonly ring: Ring
}

const clusterRecordCodec: TupleCodec<ClusterRecord> = {
  name: 'cluster record',
  version: 1,
  encode: ({ clusterId, ring }) => [clusterId, encodeRing(ring)],
  decode: (reader) => ({ clusterId: reader.string(), ring: decodeRing(reader.bytes()) }),
}

export function encodeClusterRecord(record: ClusterRecord): Uint8Array {
  return encodeWith(clusterRecordCodec, record)
}

export function decodeClusterRecord(bytes: Uint8Array): ClusterRecord {
  return decodeWith(clusterRecordCodec, bytes)
}
