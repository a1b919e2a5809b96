/** Bucket records: bucket `buckets`, key the name. */
export const BUCKETS_TYPE = 'atoll.buckets'
/** One record for each object with all its versions: bucket the bucket's name, key the object's key. */
export const MANIFESTS_TYPE = 'atoll.manifests'
/** Blocks: bucket the bucket's name, key the upload's uuid (16 bytes) and the sequence (4 bytes, big-endian). */
export const BLOCKS_TYPE = 'atoll.blocks'

/**
 * The bucket types that the key-value store must have, with what each needs; quorums are the operator's choice, as
 * long as reads and writes of the first two meet.
 *
 * - Buckets and manifests keep siblings: the object layer joins them itself, and loses none.
 * - Blocks are written once under a fresh uuid and never changed, so nothing is read before they are written.
 */
export const KV_TYPES = {
  [BUCKETS_TYPE]: { policy: { kind: 'siblings' } },
  [MANIFESTS_TYPE]: { policy: { kind: 'siblings' } },
  [BLOCKS_TYPE]: { policy: { kind: 'write-once' } },
} as const

/** Index of what a listing shows, on buckets and manifests. */
export const LIST_INDEX = 'list'
/** Index of what is to be cleared away, on manifests. */
export const COLLECT_INDEX = 'collect'
