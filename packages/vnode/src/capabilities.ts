import { AtollError, type PlacedKey, placeOf } from '@atoll/core'

/**
 * Said in the handshake by a node that tells writes of one dot apart: in an offer it takes the ids of writes beside the
 * digests of clocks, and to a put it answers, if it is asked, which dots it knows as those of other writes.
 */
export const WRITE_IDS = 'write-ids'

/** Said by a node that answers a scan with the first entry of each group of terms. */
export const SCAN_GROUPS = 'scan-groups'

/** Said by a node that notes which holders missed a write, and gives it to them when they are back. */
export const HINTS = 'hints'

/** Said by a node that answers a read with the digest of its record, if it is asked for no more than that. */
export const DIGEST_READS = 'digest-reads'

/** Said by a node that tells of a put that it was accepted only if it is asked to (`PutRequest.quiet`). */
export const QUIET_PUTS = 'quiet-puts'

/** Said by a node that takes several stores and digest reads in one message. */
export const BATCHES = 'batches'

/** Said by a node that tells what it has decided of a write before that is on its disk, if it is asked to. */
export const DECISIONS = 'decisions'

/** Said by a node that files records by places of keys (`KeyId.place`). */
export const PLACES = 'places'

/** What nodes of this build can do beyond the protocol's version, as far as vnodes go. */
export const VNODE_CAPABILITIES: readonly string[] = [
  WRITE_IDS,
  SCAN_GROUPS,
  HINTS,
  DIGEST_READS,
  QUIET_PUTS,
  BATCHES,
  DECISIONS,
  PLACES,
]

/** What a node said in its handshake that it can do; undefined while no connection stands with it. */
export type Abilities = ReadonlySet<string> | undefined

/**
 * `ATOLL_PROTOCOL`, definite and transient, for a key with a place that is meant for a node of a build before, which files
 * by keys alone. Without a connection nobody knows; such a node then refuses the message, which it cannot read.
 */
export function refusalOfPlace(node: string, abilities: Abilities, key: PlacedKey): AtollError | undefined {
  if (key.place === undefined || abilities === undefined || abilities.has(PLACES)) return undefined
  if (placeOf(key) === undefined) return undefined
  const message = `${node} runs an earlier build, which knows no places of keys: upgrade it, and try again`
  return new AtollError('ATOLL_PROTOCOL', message, { definite: true, transient: true, details: { node } })
}

/** Throws `refusalOfPlace`, if there is one. */
export function checkPlaceKnown(node: string, abilities: Abilities, key: PlacedKey): void {
  const refusal = refusalOfPlace(node, abilities, key)
  if (refusal !== undefined) throw refusal
}
