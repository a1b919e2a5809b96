import { checkText } from '@atoll/core'

export const MAX_MEMBERS = 1024
export const MAX_BUCKET_TYPES = 256
export const MAX_BUCKET_TYPE_BYTES = 16 * 1024
export const MAX_FORCED = 100
export const MAX_RECENT = 32
/** A forced epoch begins the next of these. */
export const EPOCHS_PER_FORCE = 1_000_000

const NAME = /^[a-zA-Z0-9._-]{1,64}$/
const NAME_FORM = '1 to 64 characters of a-z A-Z 0-9 . _ -'

/** Of a cluster or a bucket type; nodes and zones have the names that the ring allows them. */
export function checkName(name: string, value: unknown): string {
  return checkText(name, value, NAME, NAME_FORM)
}

/** Anything that a transport understands. */
export function checkAddress(value: unknown): string {
  return checkText('address', value, /^.{1,255}$/u, 'an address of 1 to 255 characters')
}

export function checkId(value: unknown): string {
  return checkText('id', value, /^[0-9a-f]{16,64}$/, '16 to 64 digits of lower-case hexadecimal')
}
