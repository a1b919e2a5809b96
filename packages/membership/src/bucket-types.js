import { checkBytes, checkInteger, equalBytes } from '@atoll/core'
import { MAX_REPLICAS, replicaTable } from '@atoll/ring'
import { checkName, MAX_BUCKET_TYPE_BYTES, MAX_BUCKET_TYPES } from './limits.js'
import { allow } from './refusal.js'
import { retarget } from './retarget.js'
import { votersOf } from './voters.js'
/**
 * Sets the properties of a bucket type. Where it has more replicas than before, everyone owes copies to the new ones; where
 * it has more than the lists are long, the lists grow.
 *
 * @throws `ATOLL_CHANGE_REFUSED` for one type too many, `TypeError` or `RangeError` for an entry that is not as described.
 */
export function setBucketType(document, entry) {
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
function refillsWith(document, { name, n, nBefore }) {
  const { refills, width, epoch } = document
  const rest = refills.filter(({ type }) => type !== name)
  const earlier = refills.filter(({ type }) => type === name).map(({ from }) => from)
  const from = Math.min(...earlier, nBefore ?? n)
  // Who is not in the lists yet gets everything as it is added to them.
  if (from >= Math.min(n, width)) return rest
  return [...rest, { id: `${epoch + 1}/${name}`, type: name, from, to: n, waiting: votersOf(document) }]
}
function widen(document, n) {
  if (n <= document.width) return document
  const { moves } = retarget(document, replicaTable(document.ring, n), document.members)
  return { ...document, width: n, moves }
}
//# sourceMappingURL=bucket-types.js.map
