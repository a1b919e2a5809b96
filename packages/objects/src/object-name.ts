import { describe, type KeyId, utf8, wrongRange, wrongType } from '@atoll/core'
import { checkBucketName } from './bucket-name.ts'
import { MANIFESTS_TYPE } from './kv-types.ts'

/** A bucket and a key, checked. */
export interface ObjectName {
  readonly bucket: string
  readonly key: string
  /** Where the manifests of the object are. */
  readonly id: KeyId
}

/** Half of a character that takes two: there is no UTF-8 for it. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** Throws `TypeError` or `RangeError`, naming the value, for an invalid bucket or key. */
export function objectName(bucket: unknown, key: unknown, maxKeyBytes: number): ObjectName {
  const name = checkBucketName(bucket)
  if (typeof key !== 'string') throw wrongType('key', `must be a string, got ${describe(key)}`)
  const bytes = utf8(checkWellFormed('key', key))
  if (bytes.length < 1 || bytes.length > maxKeyBytes) {
    throw wrongRange(
      'key',
      `must have 1 to ${maxKeyBytes} bytes of UTF-8, ${describe(key)} has ${bytes.length}`,
    )
  }
  return { bucket: name, key, id: { type: MANIFESTS_TYPE, bucket: utf8(name), key: bytes } }
}

/** Returns the text if every character of it has a form in UTF-8. */
export function checkWellFormed(name: string, text: string): string {
  if (LONE_SURROGATE.test(text))
    throw wrongRange(name, `must be well-formed Unicode, ${describe(text)} has half of a character`)
  return text
}
