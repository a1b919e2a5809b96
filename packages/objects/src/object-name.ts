import { checkWellFormed, describe, type KeyId, utf8, wrongRange, wrongType } from '@atoll/core'
import type { Bucket } from './bucket-knowledge.ts'
import { checkBucketName } from './bucket-name.ts'
import type { ObjectType } from './kv-types.ts'

/** A bucket and a key, checked. */
export interface ObjectName {
  readonly bucket: string
  readonly key: string
  readonly keyBytes: Uint8Array
}

/** An object, and where it is. */
export interface PlacedObject {
  readonly bucket: string
  readonly key: string
  /** Of its manifest record. */
  readonly id: KeyId
  readonly type: ObjectType
}

/** Throws `TypeError` or `RangeError`, naming the value, for an invalid bucket or key. */
export function objectName(bucket: unknown, key: unknown, maxKeyBytes: number): ObjectName {
  const name = checkBucketName(bucket)
  if (typeof key !== 'string') throw wrongType('key', `must be a string, got ${describe(key)}`)
  const keyBytes = utf8(checkWellFormed('key', key))
  if (keyBytes.length < 1 || keyBytes.length > maxKeyBytes) {
    throw wrongRange(
      'key',
      `must have 1 to ${maxKeyBytes} bytes of UTF-8, ${describe(key)} has ${keyBytes.length}`,
    )
  }
  return { bucket: name, key, keyBytes }
}

export function placedIn({ bucket, key, keyBytes }: ObjectName, { place, objects }: Bucket): PlacedObject {
  return { bucket, key, type: objects, id: { type: objects.manifests, bucket: place, key: keyBytes } }
}
