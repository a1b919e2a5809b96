import { AtollError } from '@atoll/core'

/** CRC-32 as the runtime has it. */
export type Crc32 = (data: Uint8Array, seed?: number) => number

/** What a seal takes behind a value. */
export const SEAL_BYTES = 4

/**
 * A small stored value behind which its CRC-32 stands. The key is in the sum, so that a value which a faulty disk
 * answers for another key is not believed.
 */
export function seal(key: Uint8Array, value: Uint8Array, crc32: Crc32): Uint8Array {
  const sealed = new Uint8Array(value.length + SEAL_BYTES)
  sealed.set(value)
  return sealInPlace(key, sealed, crc32)
}

/** As `seal`, of a value behind which there is room for `SEAL_BYTES`. */
export function sealInPlace(key: Uint8Array, roomy: Uint8Array, crc32: Crc32): Uint8Array {
  const end = roomy.length - SEAL_BYTES
  const sum = crc32(roomy.subarray(0, end), crc32(key))
  roomy[end] = sum >>> 24
  roomy[end + 1] = sum >>> 16
  roomy[end + 2] = sum >>> 8
  roomy[end + 3] = sum
  return roomy
}

/** The value that was sealed. Throws `ATOLL_CORRUPT` if it is not that. */
export function unseal(key: Uint8Array, sealed: Uint8Array, crc32: Crc32): Uint8Array {
  const end = sealed.length - SEAL_BYTES
  if (end >= 0) {
    const value = sealed.subarray(0, end)
    const expected = new DataView(sealed.buffer, sealed.byteOffset + end).getUint32(0)
    if (crc32(value, crc32(key)) === expected) return value
  }
  throw new AtollError('ATOLL_CORRUPT', 'a stored value fails its check')
}
