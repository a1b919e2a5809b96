import { checkBytes, checkInteger, checkName, equalBytes } from '@atoll/core'
import { MAX_REPLICAS, replicaTable } from '@atoll/ring'
import type { ClusterDocument, RaisedRefill, Refill } from './document.ts'
import { isRestored } from './generations.ts'
import { goalOf } from './layout.ts'
import { leanLists } from './lean.ts'
import { MAX_BUCKET_TYPE_BYTES, MAX_BUCKET_TYPES } from './limits.ts'
import { allow } from './refusal.ts'
import { retarget } from './retarget.ts'
import { votersOf } from './voters.ts'

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
export function setBucketType(document: ClusterDocument, entry: BucketTypeEntry): ClusterDocument {
  const { bytes } = entry
  const name = checkName('bucket type', entry.name)
  checkBytes('properties', bytes, { min: 0, max: MAX_BUCKET_TYPE_BYTES })
  const n = checkInteger('n', entry.n, { min: 1, max: MAX_REPLICAS })
  const known = document.bucketTypes.get(name)
  if (known !== undefined && equalBytes(known, bytes)) return document
  const room = known !== undefined || document.bucketTypes.size < MAX_BUCKET_TYPES
  allow(room, `add bucket type ${name}`, `there are ${MAX_BUCKET_TYPES} already`)
  const bucketTypes = new Map(document.bucketTypes).set(name, bytes)
  return widen(
    { ...document, epoch: document.epoch + 1, bucketTypes, refills: refillsWith(document, entry) },
    n,
  )
}

/** One refill per type: a later one takes the place of what an earlier one still owes. */
function refillsWith(document: ClusterDocument, { name, n, nBefore }: BucketTypeEntry): readonly Refill[] {
  const { refills, width, epoch } = document
  const isOfType = (refill: Refill): refill is RaisedRefill => !isRestored(refill) && refill.type === name
  const rest = refills.filter((refill) => !isOfType(refill))
  const earlier = refills.filter(isOfType).map(({ from }) => from)
  const from = Math.min(...earlier, nBefore ?? n)
  // Who is not in the lists yet gets everything as it is added to them.
  if (from >= Math.min(n, width)) return rest
  return [...rest, { id: `${epoch + 1}/${name}`, type: name, from, to: n, waiting: votersOf(document) }]
}

function widen(document: ClusterDocument, n: number): ClusterDocument {
  if (n <= document.width) return document
  const { ring, members } = document
  const wanted = leanLists(goalOf(document), replicaTable(ring, n), ring.zones)
  const { moves } = retarget(document, wanted, members)
  return { ...document, width: n, moves }
}
