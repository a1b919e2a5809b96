import type { KeyId } from '@atoll/core'
import { overlapping, partitionOf, type Sha1 } from '@atoll/ring'
import type { Routing } from './protocol.ts'
import type { Ownership } from './route.ts'

/**
 * A partition has another number in a ring with another number of partitions. While a ring grows, a request may go by the
 * old or the new numbers, whatever those are by which the node that it comes to knows the ring, or has filed its records.
 */
export interface Place {
  /** Its number, or that of the first of its parts, in a ring of so many partitions. */
  in(partitions: number): number
}

/** The partition of a key, of which a request says its number in a ring of `by` partitions; undefined if that is unknown. */
export function placeOfKey(
  { id, partition }: { readonly id: KeyId; readonly partition: number },
  by: number | undefined,
  sha1: Sha1,
): Place {
  return { in: (partitions) => (partitions === by ? partition : partitionOf(id, partitions, sha1)) }
}

export function placeOfPartition(partition: number, by: number): Place {
  return {
    in: (partitions) => (partitions === by ? partition : (overlapping(partition, by, partitions)[0] ?? 0)),
  }
}

/** How many partitions there are in the ring that a request goes by; undefined for one of another epoch, or of none. */
export function ringOfRequest(
  { epoch }: Routing,
  ownership: Ownership | undefined,
  filed: number,
): number | undefined {
  const ring = ownership?.ring
  if (ownership === undefined || ring === undefined) return filed
  return epoch > 0 && epoch >= ring.since && epoch <= ownership.epoch ? ring.partitions : undefined
}

/** How many partitions the ring has by a node's document. */
export function ringOf(ownership: Ownership | undefined, filed: number): number {
  return ownership?.ring?.partitions ?? filed
}

/** Who serves a partition of which this node has the number that its records are filed by. */
export function ownerOfFiled(partition: number, filed: number, ownership: Ownership): string | undefined {
  return ownership.ownerOf(placeOfPartition(partition, filed).in(ringOf(ownership, filed)))
}
