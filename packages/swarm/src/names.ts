import { type KeyId, toHex, utf8 } from '@atoll/core'

export const BUCKET = 'reef'

export function recordId(type: string, key: string): KeyId {
  return { type, bucket: utf8(BUCKET), key: utf8(key) }
}

export function nameOf({ type, bucket, key }: KeyId): string {
  return `${type}/${toHex(bucket)}/${toHex(key)}`
}
