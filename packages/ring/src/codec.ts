import { AtollError, decodeWith, encodeWith, messageOf, type TupleCodec, type TupleReader } from '@atoll/core'
import { createRing, type NodeName, type Ring } from './ring.ts'

/**
 * `[partitions, nodes, owners, zones]`: owners as positions in the sorted list of nodes, zones as pairs sorted by node,
 * so that equal rings have equal bytes.
 */
const ringCodec: TupleCodec<Ring> = {
  name: 'ring',
  version: 1,
  encode: (ring) => {
    const nodes = [...new Set(ring.owners)].sort()
    const numbers = new Map(nodes.map((node, number) => [node, number]))
    return [
      ring.partitions,
      nodes,
      ring.owners.map((owner) => numbers.get(owner) ?? 0),
      [...ring.zones].sort(([a], [b]) => (a < b ? -1 : 1)),
    ]
  },
  decode: (reader) => {
    const partitions = reader.uint()
    const nodes = reader.list((item) => item.string())
    const owners = reader.list((item) => ownerAt(nodes, item.uint()))
    const zones = new Map(reader.list((item) => readZone(item.tuple())))
    return believe({ partitions, owners, zones })
  },
}

export function encodeRing(ring: Ring): Uint8Array {
  return encodeWith(ringCodec, ring)
}

/** Throws `ATOLL_CORRUPT` for bytes that are no ring, and `ATOLL_FORMAT` for those of a newer version. */
export function decodeRing(bytes: Uint8Array): Ring {
  return decodeWith(ringCodec, bytes)
}

function ownerAt(nodes: readonly NodeName[], number: number): NodeName {
  const node = nodes[number]
  if (node === undefined)
    throw new AtollError('ATOLL_CORRUPT', `ring cannot be read: it has no node ${number}`)
  return node
}

function readZone(reader: TupleReader): [NodeName, string] {
  const pair: [NodeName, string] = [reader.string(), reader.string()]
  reader.end()
  return pair
}

function believe(ring: Ring): Ring {
  try {
    return createRing(ring)
  } catch (error) {
    throw new AtollError('ATOLL_CORRUPT', `ring cannot be read: ${messageOf(error)}`, { cause: error })
  }
}
