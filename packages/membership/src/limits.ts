import { checkText } from '@atoll/core'

export const MAX_MEMBERS = 1024
export const MAX_BUCKET_TYPES = 256
export const MAX_BUCKET_TYPE_BYTES = 16 * 1024
export const MAX_FORCED = 100
export const MAX_RECENT = 32
/** A forced epoch begins the next of these. */
export const EPOCHS_PER_FORCE = 1_000_000

/** Anything that a transport understands. */
export function checkAddress(value: unknown): string {
  return checkText('address', value, /^.{1,255}$/u, 'an address of 1 to 255 characters')
}

export function checkId(value: unknown): string {
  return checkText('id', value, /^[0-9a-f]{16,64}$/, '16 to 64 digits of lower-case hexadecimal')
}
