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

/** What nodes of this build can do beyond the protocol's version, as far as vnodes go. */
export const VNODE_CAPABILITIES: readonly string[] = [
  WRITE_IDS,
  SCAN_GROUPS,
  HINTS,
  DIGEST_READS,
  QUIET_PUTS,
  BATCHES,
]
