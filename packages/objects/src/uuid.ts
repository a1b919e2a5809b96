import { type Runtime, toHex, wallTimeOf } from '@atoll/core'

const UUID_BYTES = 16
const TIME_BYTES = 6

/**
 * A fresh name for an upload: a UUID of version 7 (RFC 9562, 5.7) as 32 hexadecimal digits, wall time in milliseconds
 * and then random bits, so that the blocks of one upload lie together.
 */
export function newUuid({ clock, random }: Pick<Runtime, 'clock' | 'random'>): string {
  const bytes = new Uint8Array(UUID_BYTES)
  const nowMs = wallTimeOf(clock)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, nowMs / 2 ** 32)
  view.setUint32(2, nowMs)
  bytes.set(random.bytes(UUID_BYTES - TIME_BYTES), TIME_BYTES)
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f)
  return toHex(bytes)
}
