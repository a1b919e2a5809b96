import { compareBytes, encodeTuple, type TupleValue } from '@atoll/core'

/** As records number them. */
export const MANIFEST_STATES = ['writing', 'active', 'pending-delete', 'deleted'] as const

/**
 * - `writing`: blocks are being written; nobody sees it yet. Left behind, it is evidence of an upload that died.
 * - `deleted`: a collection took the upload for dead. Until that is decided, which takes every primary, its blocks stay.
 * - `active`: complete. The greatest active version of an object is the visible one.
 * - `pending-delete`: overwritten or deleted; readers may still be on it, so its blocks stay for the leeway.
 */
export type ManifestState = (typeof MANIFEST_STATES)[number]

/**
 * A manifest moves on in this order only. So what a collection took for dead loses against the version that it became
 * all the same: a lease, which somebody's clock takes for over, never undoes what was decided.
 */
const RANKS: Readonly<Record<ManifestState, number>> = {
  writing: 0,
  deleted: 1,
  active: 2,
  'pending-delete': 3,
}

/** One upload of an object. */
export interface Manifest {
  /** 32 hexadecimal digits; names the blocks too. */
  readonly uuid: string
  readonly state: ManifestState
  /** Blocks of the body if `sealed`, and otherwise how many may exist at most. */
  readonly blocks: number
  readonly sealed: boolean
  /**
   * While `writing`: the wall time at which the upload may be taken for dead, greater than 0; or 0 in a copy that a
   * write without a guard took along, which proves no more that nobody has decided against the upload. Else 0.
   */
  readonly leaseEndsMs: number
  /** Once `pending-delete` or `deleted`: the wall time since when nobody can begin to read it; else 0. */
  readonly removedMs: number
  /** While `active`; removed versions are kept small. */
  readonly content: Content | undefined
}

/** What an active manifest says of the object. It never changes. */
export interface Content {
  /** Logical time: greater than every version that the writer had seen, and at least its wall clock. */
  readonly version: number
  readonly size: number
  /** 16 bytes. */
  readonly md5: Uint8Array
  readonly contentType: string
  readonly metadata: readonly (readonly [string, string])[]
  readonly modifiedMs: number
  readonly blockBytes: number
  /** The body, if it has no blocks; else empty. */
  readonly inline: Uint8Array
  /** CRC-32 of each block: 4 bytes, big-endian. */
  readonly checksums: Uint8Array
}

export function rankOf(state: ManifestState): number {
  return RANKS[state]
}

/**
 * What two copies of the manifest of one upload know together: a product of joins, each of which takes the greater.
 * A count of blocks that is exact is greater than every estimate. What only one state has is dropped with that state.
 */
export function joinManifests(a: Manifest, b: Manifest): Manifest {
  if (a === b) return a
  const state = rankOf(a.state) >= rankOf(b.state) ? a.state : b.state
  return {
    uuid: a.uuid,
    state,
    blocks: a.sealed === b.sealed ? Math.max(a.blocks, b.blocks) : a.sealed ? a.blocks : b.blocks,
    sealed: a.sealed || b.sealed,
    leaseEndsMs: state === 'writing' ? Math.max(a.leaseEndsMs, b.leaseEndsMs) : 0,
    removedMs: Math.max(a.removedMs, b.removedMs),
    content: state === 'active' ? joinContents(a.content, b.content) : undefined,
  }
}

/** As a tuple, for the codec; also what tells two contents apart. */
export function contentTuple(content: Content): readonly TupleValue[] {
  const { version, size, md5, contentType, metadata, modifiedMs, blockBytes, inline, checksums } = content
  return [version, size, md5, contentType, metadata.flat(), modifiedMs, blockBytes, inline, checksums]
}

/** Two contents of one upload are the same. Should they ever differ, everyone still picks the same one. */
function joinContents(a: Content | undefined, b: Content | undefined): Content | undefined {
  if (a === undefined || b === undefined || a === b) return a ?? b
  return compareBytes(encodeTuple(0, contentTuple(a)), encodeTuple(0, contentTuple(b))) >= 0 ? a : b
}
