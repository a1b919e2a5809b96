import { AtollError, isBytes } from '@atoll/core'

/** Where a large value lies. The sequence of its record makes it unique for ever. */
export interface Pointer {
  /** The number of the segment file. */
  readonly slot: number
  /** Where the value starts in the file. */
  readonly offset: number
  /** Length of the value, without its table of checksums. */
  readonly bytes: number
  readonly sequence: number
}

/** What the inner database holds under a key: a small value, or a pointer to a large one. */
export type Stored = Uint8Array | Pointer

/** The first byte of what the inner database holds. */
export const INLINE_TAG = 0
const POINTER_TAG = 1
export const POINTER_BYTES = 23

/** The first byte of a key in the inner database: the one record of the value log itself, or a key of the user. */
export const DATA_PREFIX = 1
export const CHECKPOINT_KEY: Uint8Array = Uint8Array.of(0)
/** Under this key lies the sequence of the last record that was applied: proof that it was durable. */
export const APPLIED_KEY: Uint8Array = Uint8Array.of(0, 1)
/** No key of the inner database is as high as this. */
export const ABOVE_ALL_KEYS: Uint8Array = Uint8Array.of(0xff)

export function innerKeyOf(key: Uint8Array): Uint8Array {
  const inner = Buffer.allocUnsafe(key.length + 1)
  inner[0] = DATA_PREFIX
  inner.set(key, 1)
  return inner
}

export function encodePointer(pointer: Pointer): Uint8Array {
  const bytes = Buffer.allocUnsafe(POINTER_BYTES)
  bytes[0] = POINTER_TAG
  writePointer(pointer, bytes, 1)
  return bytes
}

/** Writes the 22 bytes of a pointer. */
export function writePointer(pointer: Pointer, target: Buffer, at: number): void {
  target.writeUInt32LE(pointer.slot, at)
  target.writeUIntLE(pointer.offset, at + 4, 6)
  target.writeUIntLE(pointer.bytes, at + 10, 6)
  target.writeUIntLE(pointer.sequence, at + 16, 6)
}

export function readPointer(source: Buffer, at: number): Pointer {
  return {
    slot: source.readUInt32LE(at),
    offset: source.readUIntLE(at + 4, 6),
    bytes: source.readUIntLE(at + 10, 6),
    sequence: source.readUIntLE(at + 16, 6),
  }
}

export function decodeStored(inner: Uint8Array): Stored {
  if (inner[0] === INLINE_TAG) return asBuffer(inner).subarray(1)
  if (inner[0] === POINTER_TAG && inner.length === POINTER_BYTES) return readPointer(asBuffer(inner), 1)
  throw new AtollError('ATOLL_CORRUPT', 'the inner database holds a value that no value log wrote')
}

export function isPointer(stored: Stored | undefined): stored is Pointer {
  return stored !== undefined && !isBytes(stored)
}

export function samePlace(a: Pointer, b: Pointer): boolean {
  return a.slot === b.slot && a.offset === b.offset && a.sequence === b.sequence
}

/** The same bytes as a Buffer, for its readers of integers. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** A key as a string, byte by byte: for maps. */
export function keyId(key: Uint8Array): string {
  return asBuffer(key).toString('latin1')
}
