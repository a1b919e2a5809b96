/**
 * The full name of a record in the key-value layer. A key-value bucket has a type, which carries its properties
 * (n, quorums, merge strategy). The type "default" places keys as Riak places untyped ones.
 */
export interface KeyId {
  /** Bucket type: 1 to 64 characters of `a-z 0-9 . _ -`. */
  readonly type: string
  /** Bucket name: 1 to 1024 bytes. */
  readonly bucket: Uint8Array
  /** Key: 1 to 4096 bytes. */
  readonly key: Uint8Array
}

/** The bucket type of which keys are placed without naming a type. */
export const DEFAULT_TYPE = 'default'
