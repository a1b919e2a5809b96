import { MD5_BLOCK_BYTES } from './md5-kernels.ts'

const LENGTH_BYTES = 8

/**
 * What follows a message so that its blocks are whole: a bit, zeros, and its length in bits (RFC 1321, sections 3.1 and
 * 3.2).
 */
export function md5Padding(messageBytes: number): Uint8Array {
  const zeros = MD5_BLOCK_BYTES - 1 - ((messageBytes + LENGTH_BYTES) % MD5_BLOCK_BYTES)
  const padding = new Uint8Array(1 + zeros + LENGTH_BYTES)
  padding[0] = 0x80
  new DataView(padding.buffer).setBigUint64(1 + zeros, 8n * BigInt(messageBytes), true)
  return padding
}
