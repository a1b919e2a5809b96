import { AtollError } from '@atoll/core'
import type { ClusterDocument } from '@atoll/membership'
import type { NodeName } from '@atoll/ring'

/** A second cluster is not begun beside a first one. */
export function checkHeld(held: readonly NodeName[], names: readonly NodeName[]): void {
  if (held.length === 0 || held.some((node) => names.includes(node))) return
  const others = `the data of ${held.join(', ')} is there, and none of ${names.join(', ')}`
  throw new AtollError('ATOLL_FORMAT', `${others}: another cluster is not begun beside it`)
}

/** The newest document that a database has; a node whose database is new or was lost takes it from the others. */
export function knownOf(
  documents: readonly ClusterDocument[],
  names: readonly NodeName[],
): ClusterDocument | undefined {
  const known = newestOf(documents)
  if (known === undefined) return undefined
  const stranger = documents.find(({ clusterId }) => clusterId !== known.clusterId)
  const members = [...known.members.keys()]
  const same = members.length === names.length && members.every((node) => names.includes(node))
  if (stranger === undefined && same) return known
  const found = `cluster ${(stranger ?? known).clusterId} of ${[...(stranger ?? known).members.keys()].join(', ')}`
  throw new AtollError(
    'ATOLL_FORMAT',
    `the data belongs to ${found}, not to one with members ${names.join(', ')}`,
  )
}

/** The newest document. */
export function newestOf(documents: readonly ClusterDocument[]): ClusterDocument | undefined {
  return newest(documents, ({ epoch }) => epoch)
}

/** The one of the greatest epoch, the first of equals; undefined of none. */
export function newest<Item>(items: readonly Item[], epochOf: (item: Item) => number): Item | undefined {
  return items.reduce<Item | undefined>(
    (best, item) => (best === undefined || epochOf(item) > epochOf(best) ? item : best),
    undefined,
  )
}
