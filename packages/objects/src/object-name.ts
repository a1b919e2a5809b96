import { describe, type KeyId, utf8, wrongRange, wrongType } from '@atoll/core'
import { checkBucketName } from './bucket-name.ts'
import { type ObjectType, objectTypeOf } from './kv-types.ts'

/** A bucket and a key, checked. */
export interface ObjectName {
  readonly bucket: string
  readonly key: string
  /** Where the manifests of the object are, if its bucket is of this type. */
  readonly id: KeyId
  readonly type: ObjectType
}

/** Half of a character that takes two: there is no UTF-8 for it. */
const LONE_SURROGATE = /\p{Surrogate}/u

/** Throws `TypeError` or `RangeError`, naming the value, for an invalid bucket or key. */
export function objectName(
  bucket: unknown,
  key: unknown,
  { maxKeyBytes, typeOf }: { readonly maxKeyBytes: number; readonly typeOf: (bucket: string) => string },
): ObjectName {
  const name = checkBucketName(bucket)
  if (typeof key !== 'string') throw wrongType('key', `must be a string, got ${describe(key)}`)
  const bytes = utf8(checkWellFormed('key', key))
  if (bytes.length < 1 || bytes.length > maxKeyBytes) {
    throw wrongRange(
      'key',
      `must have 1 to ${maxKeyBytes} bytes of UTF-8, ${describe(key)} has ${bytes.length}`,
    )
  }
  const type = objectTypeOf(typeOf(name))
  return { bucket: name, key, type, id: { type: type.manifests, bucket: utf8(name), key: bytes } }
}

/** The same object in a bucket of that type. */
export function inType(name: ObjectName, type: string): ObjectName {
  if (name.type.name === type) return name
  const other = objectTypeOf(type)
  return { ...name, type: other, id: { ...name.id, type: other.manifests } }
}

/** Returns the text if every character of it has a form in UTF-8. */
export function checkWellFormed(name: string, text: string): string {
  if (LONE_SURROGATE.test(text))
    throw wrongRange(name, `must be well-formed Unicode, ${describe(text)} has half of a character`)
  return text
}
