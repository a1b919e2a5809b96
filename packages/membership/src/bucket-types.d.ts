import type { ClusterDocument } from './document.ts'
export interface BucketTypeEntry {
  /** 1 to 64 characters of `a-z A-Z 0-9 . _ -`. */
  readonly name: string
  /** Its properties: at most 16 KiB. */
  readonly bytes: Uint8Array
  /** How many replicas it has, 1 to 16. */
  readonly n: number
  /** How many it had; undefined for a new type. */
  readonly nBefore?: number | undefined
}
/**
 * Sets the properties of a bucket type. Where it has more replicas than before, everyone owes copies to the new ones; where
 * it has more than the lists are long, the lists grow.
 *
 * @throws `ATOLL_CHANGE_REFUSED` for one type too many, `TypeError` or `RangeError` for an entry that is not as described.
 */
export declare function setBucketType(document: ClusterDocument, entry: BucketTypeEntry): ClusterDocument
//# sourceMappingURL=bucket-types.d.ts.map
