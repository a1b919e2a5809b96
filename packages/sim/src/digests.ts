import { createHash, hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { continuing, type Digests } from '@atoll/core'

/** Node's own digests, all at once: workers would finish on real time. */
export const inlineDigests: Digests = {
  sha1: (data) => new Uint8Array(hash('sha1', data, 'buffer')),
  crc32: continuing(crc32),
  stream: (algorithm) => {
    const digest = createHash(algorithm)
    return {
      update: (chunk) => void digest.update(chunk),
      digest: () => Promise.resolve(new Uint8Array(digest.digest())),
      discard: () => {},
    }
  },
}
