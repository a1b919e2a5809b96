/** Of a key: which segment of its partition and type it is in. */
export const SEGMENT_BYTES = 2

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/**
 * The segment of a name, of 2^16: the low bits of FNV-1a of its bytes, mixed as MurmurHash3 ends. It decides nothing
 * but how names are spread, so it has to be quick and even, and hard to nobody. The name stands in `key` from `start`
 * on, but for the bytes of the segment at `gap`.
 */
export function segmentOf(key: Uint8Array, start: number, gap: number): number {
  let hash = FNV_OFFSET
  for (let at = start; at < gap; at++) hash = Math.imul(hash ^ (key[at] ?? 0), FNV_PRIME)
  for (let at = gap + SEGMENT_BYTES; at < key.length; at++) hash = Math.imul(hash ^ (key[at] ?? 0), FNV_PRIME)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) & 0xffff
}
