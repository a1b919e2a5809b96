import { type Ring } from '@atoll/ring'
import type { ClusterDocument, Member } from './document.ts'
export interface FirstDocumentOptions {
  /** 1 to 64 characters of `a-z A-Z 0-9 . _ -`; different for every cluster there will ever be. */
  readonly clusterId: string
  /** At least one; all of them are valid members at once. */
  readonly members: readonly Omit<Member, 'state' | 'upState'>[]
  /** A power of two from 8 to 1024; default 64. */
  readonly partitions?: number | undefined
  /** Replicas that the claim keeps apart, 1 to 16; default 3. */
  readonly n?: number | undefined
  /** Length of the lists of replicas: the greatest n of a bucket type; from n to 16, default n. */
  readonly width?: number | undefined
  /** Who owns what, if that is known already; default is a claim of all partitions. */
  readonly owners?: Ring['owners'] | undefined
  readonly bucketTypes?: ReadonlyMap<string, Uint8Array> | undefined
}
/** The document that a cluster begins with. Throws `TypeError` or `RangeError` if anything is not as described. */
export declare function firstDocument(options: FirstDocumentOptions): ClusterDocument
//# sourceMappingURL=first-document.d.ts.map
