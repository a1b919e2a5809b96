import {
  AtollError,
  decodeWith,
  EMPTY_BYTES,
  encodeWith,
  type TupleCodec,
  type TupleReader,
  type TupleValue,
} from '@atoll/core'

/** Where in the log a record ends, and the sequence of the next one. */
export interface LogPosition {
  readonly slot: number
  readonly offset: number
  readonly sequence: number
  /** Where in the same segment that record starts; 0 if there is none, or if it is not known. */
  readonly lastOffset: number
}

/** What is known of a segment file. */
export interface SegmentRow {
  readonly slot: number
  readonly sizeBytes: number
  /** Free to be written again. */
  readonly free: boolean
  /** Bytes of large values in it that are in use: a hint for compaction, which always looks for itself. */
  readonly liveBytes: number
  /**
   * Nothing was hidden in it of which this count does not know. A trailing field: programs before it pass over it, and leave
   * it out.
   */
  readonly isCounted: boolean
}

/**
 * By this the log and the inner database know each other. Every checkpoint has a number, one more than the one before,
 * and the log notes it once it is durable. So an older copy of either beside a newer one of the other is told.
 */
export interface Pairing {
  readonly identity: Uint8Array
  /** The salt of the last opening; empty where the last program to open it knew no salts. */
  readonly salt: Uint8Array
  /** Of the last checkpoint. */
  readonly number: number
}

/** Everything the log holds up to `position` is durable in the inner database, and so is this. */
export interface Checkpoint extends Pairing {
  /** The salt of the opening before. */
  readonly previousSalt: Uint8Array
  /** How often the log was opened. */
  readonly generation: number
  /** Nothing was written to the log behind `position`. */
  readonly clean: boolean
  /** `undefined` until something was written. */
  readonly position: LogPosition | undefined
  readonly nextSlot: number
  readonly segments: readonly SegmentRow[]
}

/** What a log begins with. */
export const UNSALTED = { salt: EMPTY_BYTES, previousSalt: EMPTY_BYTES, number: 0 } as const

/** Beyond any disk: a PiB in segments of 64 MiB. */
const MAX_SEGMENTS = 2 ** 24

type Unpaired = Omit<Checkpoint, 'salt' | 'previousSalt' | 'number'>

export const checkpointCodec: TupleCodec<Checkpoint> = {
  name: 'the checkpoint of the value log',
  version: 2,
  encode: (checkpoint) => [
    ...fieldsOf(checkpoint),
    checkpoint.salt,
    checkpoint.previousSalt,
    checkpoint.number,
  ],
  decode: (reader) => ({
    ...readUnpaired(reader),
    salt: reader.bytes(),
    previousSalt: reader.bytes(),
    number: reader.uint(),
  }),
  migrations: { 1: (older) => [...fieldsOf(readUnpaired(older)), EMPTY_BYTES, EMPTY_BYTES, 0] },
}

function fieldsOf({ identity, generation, clean, position, nextSlot, segments }: Unpaired): TupleValue[] {
  return [
    identity,
    generation,
    clean,
    position === undefined ? null : [position.slot, position.offset, position.sequence, position.lastOffset],
    nextSlot,
    segments.map((row) => [row.slot, row.sizeBytes, row.free, row.liveBytes, row.isCounted]),
  ]
}

function readUnpaired(reader: TupleReader): Unpaired {
  return {
    identity: reader.bytes(),
    generation: reader.uint(),
    clean: reader.boolean(),
    position: reader.optional((fields) => {
      const position = fields.tuple()
      const place = { slot: position.uint(), offset: position.uint(), sequence: position.uint() }
      return { ...place, lastOffset: position.remaining > 0 ? position.uint() : 0 }
    }),
    nextSlot: reader.uint(),
    segments: reader.list((fields) => {
      const row = fields.tuple()
      const known = { slot: row.uint(), sizeBytes: row.uint(), free: row.boolean(), liveBytes: row.uint() }
      return { ...known, isCounted: row.remaining > 0 && row.boolean() }
    }, MAX_SEGMENTS),
  }
}

/** The file that makes a directory the directory of one value log. */
export const IDENTITY_NAME = 'VALUELOG'
export const IDENTITY_BYTES = 16

const PROGRAM = 'atoll value log'

const noteCodec: TupleCodec<Pairing> = {
  name: `the ${IDENTITY_NAME} file`,
  version: 2,
  encode: ({ identity, salt, number }) => [PROGRAM, identity, salt, number],
  decode: (reader) => {
    if (reader.string() !== PROGRAM) {
      throw new AtollError('ATOLL_FORMAT', `the ${IDENTITY_NAME} file was written by another program`)
    }
    return { identity: reader.bytes(), salt: reader.bytes(), number: reader.uint() }
  },
  migrations: { 1: (older) => [older.string(), older.bytes(), EMPTY_BYTES, 0] },
}

/** What the log notes of itself, in the file `IDENTITY_NAME`. */
export function encodeNote(note: Pairing): Uint8Array {
  return encodeWith(noteCodec, note)
}

export function decodeNote(bytes: Uint8Array): Pairing {
  return owned(decodeWith(noteCodec, bytes))
}

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  return encodeWith(checkpointCodec, checkpoint)
}

export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const checkpoint = decodeWith(checkpointCodec, bytes)
  return { ...owned(checkpoint), previousSalt: Uint8Array.from(checkpoint.previousSalt) }
}

/** The bytes may be a view of memory that the inner database uses again. */
function owned<T extends Pairing>(pairing: T): T {
  return { ...pairing, identity: Uint8Array.from(pairing.identity), salt: Uint8Array.from(pairing.salt) }
}
