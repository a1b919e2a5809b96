import { decodeWith, encodeWith, packPlacedKey, type TupleCodec, unpackPlacedKey } from '@atoll/core'
import type { IndexPosition } from './ports.ts'

const cursorCodec: TupleCodec<IndexPosition> = {
  name: 'the cursor',
  version: 1,
  encode: (position) => [position.term, position.bucket, packPlacedKey(position)],
  decode: (reader) => ({ term: reader.bytes(), bucket: reader.bytes(), ...unpackPlacedKey(reader) }),
}

/** Where a page of a scan ended, for any node to go on from. Begins with a version byte. */
export function encodeCursor(position: IndexPosition): Uint8Array {
  return encodeWith(cursorCodec, position)
}

/** Throws `ATOLL_CORRUPT` for bytes that are no cursor, and `ATOLL_FORMAT` for those of a newer version. */
export function decodeCursor(bytes: Uint8Array): IndexPosition {
  return decodeWith(cursorCodec, bytes)
}
