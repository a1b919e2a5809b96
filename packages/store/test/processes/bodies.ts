import { createCipheriv, createHash } from 'node:crypto'
import type { Body } from './commands.ts'

/** The keystream of AES under the seed: as good as random, and much faster than drawing. */
export function bytesOf({ seed, bytes }: Body): Uint8Array {
  const key = Buffer.alloc(16)
  key.writeUInt32BE(seed)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(bytes))
}

export function digestOf(body: Body): string {
  return createHash('sha256').update(bytesOf(body)).digest('hex')
}
