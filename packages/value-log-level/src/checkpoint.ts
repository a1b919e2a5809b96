import { AtollError, decodeWith, encodeWith, type TupleCodec } from '@atoll/core'

/** Where in the log a record ends, and the sequence of the next one. */
export interface LogPosition {
  readonly slot: number
  readonly offset: number
  readonly sequence: number
}

/** What is known of a segment file. */
export interface SegmentRow {
  readonly slot: number
  readonly sizeBytes: number
  /** Free to be written again. */
  readonly free: boolean
  /** Bytes of large values in it that are in use: a hint for compaction, which always looks for itself. */
  readonly liveBytes: number
}

/** Everything the log holds up to `position` is durable in the inner database, and so is this. */
export interface Checkpoint {
  readonly identity: Uint8Array
  /** How often the log was opened. */
  readonly generation: number
  /** Nothing was written to the log behind `position`. */
  readonly clean: boolean
  /** `undefined` until something was written. */
  readonly position: LogPosition | undefined
  readonly nextSlot: number
  readonly segments: readonly SegmentRow[]
}

/** Beyond any disk: a PiB in segments of 64 MiB. */
const MAX_SEGMENTS = 2 ** 24

export const checkpointCodec: TupleCodec<Checkpoint> = {
  name: 'the checkpoint of the value log',
  version: 1,
  encode: ({ identity, generation, clean, position, nextSlot, segments }) => [
    identity,
    generation,
    clean,
    position === undefined ? null : [position.slot, position.offset, position.sequence],
    nextSlot,
    segments.map((row) => [row.slot, row.sizeBytes, row.free, row.liveBytes]),
  ],
  decode: (reader) => ({
    identity: reader.bytes(),
    generation: reader.uint(),
    clean: reader.boolean(),
    position: reader.optional((fields) => {
      const position = fields.tuple()
      return { slot: position.uint(), offset: position.uint(), sequence: position.uint() }
    }),
    nextSlot: reader.uint(),
    segments: reader.list((fields) => {
      const row = fields.tuple()
      return { slot: row.uint(), sizeBytes: row.uint(), free: row.boolean(), liveBytes: row.uint() }
    }, MAX_SEGMENTS),
  }),
}

/** The file that makes a directory the directory of one value log. */
export const IDENTITY_NAME = 'VALUELOG'
export const IDENTITY_BYTES = 16

const identityCodec: TupleCodec<Uint8Array> = {
  name: `the ${IDENTITY_NAME} file`,
  version: 1,
  encode: (identity) => ['atoll value log', identity],
  decode: (reader) => {
    const program = reader.string()
    if (program !== 'atoll value log') {
      throw new AtollError('ATOLL_FORMAT', `the ${IDENTITY_NAME} file was written by another program`)
    }
    return reader.bytes()
  },
}

export function encodeIdentity(identity: Uint8Array): Uint8Array {
  return encodeWith(identityCodec, identity)
}

export function decodeIdentity(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(decodeWith(identityCodec, bytes))
}

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  return encodeWith(checkpointCodec, checkpoint)
}

export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const checkpoint = decodeWith(checkpointCodec, bytes)
  // The bytes may be a view of memory that the inner database uses again.
  return { ...checkpoint, identity: Uint8Array.from(checkpoint.identity) }
}
