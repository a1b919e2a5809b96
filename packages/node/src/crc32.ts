import { createRequire } from 'node:module'
import { crc32 as zlibCrc32 } from 'node:zlib'
import { continuing, type Digests, utf8 } from '@atoll/core'

type Crc32 = Digests['crc32']

/** From here on the vectors outweigh the dearer call: 40 bytes take 0.12 µs by zlib and 0.23 natively, 4 KiB 1.0 and 0.3. */
const NATIVE_FROM_BYTES = 256

/** The check value of CRC-32 (ISO-HDLC) in the catalogue of CRCs: the sum of these digits. */
const CHECK = { bytes: utf8('123456789'), sum: 0xcbf43926 }

/**
 * CRC-32 with vector instructions (23 GB/s) where `@node-rs/crc32` has a binary for this system, else that of zlib
 * (4.6 GB/s). Both give the same sums. The binary is looked for when the first sum is taken that it is for: whoever only
 * imports this does not wait for it.
 */
export function fastestCrc32(load: () => Crc32 | undefined): Crc32 {
  let ofLong: Crc32 | undefined
  return continuing((data, seed) => {
    if (data.length < NATIVE_FROM_BYTES) return zlibCrc32(data, seed)
    ofLong ??= load() ?? zlibCrc32
    return ofLong(data, seed)
  })
}

/** Undefined where there is no binary, or one that does not sum right. */
export function nativeCrc32(): Crc32 | undefined {
  try {
    const { crc32 }: typeof import('@node-rs/crc32') = createRequire(import.meta.url)('@node-rs/crc32')
    return crc32(CHECK.bytes) === CHECK.sum ? crc32 : undefined
  } catch {
    return undefined
  }
}
