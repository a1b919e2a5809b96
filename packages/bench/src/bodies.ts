import { randomFillSync } from 'node:crypto'

/** Bodies that no layer can compress: windows into one stretch of random bytes. Nothing is allocated per body. */
export function bodies(sizeBytes: number): (n: number) => Uint8Array {
  const random = randomFillSync(new Uint8Array(sizeBytes + WINDOWS))
  return (n) => random.subarray(n % WINDOWS, (n % WINDOWS) + sizeBytes)
}

const WINDOWS = 4096
