import { AtollError, type TupleReader } from '@atoll/core'
import type { Message, MessageCodec } from './method.ts'

/** A message with its version in front, which is the first field of all. */
export function withVersion(version: number, { tuple, body }: Message): Message {
  return { tuple: [version, ...tuple], body }
}

/** The version of a message. Throws `ATOLL_PROTOCOL` for a later one than is known: it is refused, never misread. */
export function readVersion(reader: TupleReader, known: number): number {
  const version = reader.uint()
  if (version > 0 && version <= known) return version
  const message = `a message has version ${version}; this program knows versions up to ${known}`
  throw new AtollError('ATOLL_PROTOCOL', message)
}

/** A codec of messages of this one version. */
export function versioned<T>(version: number, codec: MessageCodec<T>): MessageCodec<T> {
  return {
    encode: (value) => withVersion(version, codec.encode(value)),
    decode: (reader, body) => {
      readVersion(reader, version)
      return codec.decode(reader, body)
    },
  }
}
