import type { KvStore } from './ports.ts'

/** Bucket records: bucket `buckets`, key the name. */
export const BUCKETS_TYPE = 'atoll.buckets'
/**
 * One record for each object with all its versions: bucket the bucket's id, or its name if it has none; key the
 * object's.
 */
export const MANIFESTS_TYPE = 'atoll.manifests'
/** Blocks: bucket as of the manifest, key the upload's uuid (16 bytes) and the sequence (4 bytes, big-endian). */
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

/** The type of a bucket that says none. */
export const DEFAULT_BUCKET_TYPE = 'atoll'

/** Where the objects of the buckets of one type are: the two bucket types of the key-value store that it stands for. */
export interface ObjectType {
  readonly name: string
  readonly manifests: string
  readonly blocks: string
}

const MANIFESTS = '.manifests'

export function objectTypeOf(name: string): ObjectType {
  return { name, manifests: `${name}${MANIFESTS}`, blocks: `${name}.blocks` }
}

/** Those that a store has. */
export function objectTypesOf(kv: Pick<KvStore, 'types'>): readonly ObjectType[] {
  const kinds = new Map(
    kv.types?.() ?? Object.entries(KV_TYPES).map(([type, { policy }]) => [type, policy.kind]),
  )
  return [...kinds.keys()]
    .filter((type) => type.endsWith(MANIFESTS))
    .map((type) => objectTypeOf(type.slice(0, -MANIFESTS.length)))
    .filter(
      ({ manifests, blocks }) => kinds.get(manifests) === 'siblings' && kinds.get(blocks) === 'write-once',
    )
}

/** Index of what a listing shows, on buckets and manifests. */
export const LIST_INDEX = 'list'
/** Index of what is to be cleared away, on manifests. */
export const COLLECT_INDEX = 'collect'
