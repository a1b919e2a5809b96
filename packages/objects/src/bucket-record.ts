import {
  assert,
  decodeWith,
  encodeWith,
  type Runtime,
  type TupleCodec,
  type TupleReader,
  utf8,
} from '@atoll/core'
import { corrupt } from './corrupt.ts'
import { DEFAULT_BUCKET_TYPE } from './kv-types.ts'

/** In the order of their codes. */
const BUCKET_PHASES = ['proposed', 'open', 'closing', 'deleted'] as const

/**
 * `proposed`: it is not there yet, and may never be. `closing`: it is there, and whoever deletes it waits until nobody
 * goes by older knowledge; nothing is put into it meanwhile. `deleted`: it is not there. That record stays, so that the
 * next bucket of the name has another id.
 */
export type BucketPhase = (typeof BUCKET_PHASES)[number]

/** One bucket of all that have had a name. */
export interface BucketLife {
  /** 16 bytes, under which everything of the bucket is filed. It is no name: its first byte is 128 or more. */
  readonly id: Uint8Array
  /** Which bucket of the name it is, counted from 1. */
  readonly generation: number
  /** How often its phase has changed. */
  readonly step: number
  /** Of a closing one: drawn by whoever deletes it. */
  readonly mark: number
}

export interface BucketRecord {
  readonly createdMs: number
  readonly type: string
  readonly phase: BucketPhase
  /** Undefined for one from before there were ids: what it holds is filed under its name. */
  readonly life: BucketLife | undefined
}

const ID_BYTES = 16
const NO_NAME = 0x80

/** The value of a bucket record of the default type without an id, and its payload in the index `list`. */
const plainCodec: TupleCodec<Pick<BucketRecord, 'createdMs'>> = {
  name: 'bucket record',
  version: 1,
  encode: ({ createdMs }) => [createdMs],
  decode: (reader) => ({ createdMs: reader.uint() }),
}

/** Of another type, without an id. */
const typedCodec: TupleCodec<BucketRecord> = {
  name: 'bucket record',
  version: 2,
  encode: ({ createdMs, type, phase }) => [createdMs, type, phase === 'open'],
  decode: (reader) => ({
    createdMs: reader.uint(),
    type: reader.string(),
    phase: reader.boolean() ? 'open' : 'proposed',
    life: undefined,
  }),
}

const bucketCodec: TupleCodec<BucketRecord> = {
  name: 'bucket record',
  version: 3,
  encode: ({ createdMs, type, phase, life }) => [
    createdMs,
    type,
    BUCKET_PHASES.indexOf(phase),
    life === undefined ? null : [life.id, life.generation, life.step, life.mark],
  ],
  decode: (reader) => ({
    createdMs: reader.uint(),
    type: reader.string(),
    phase: phaseOf(reader.uint()),
    life: reader.optional(readLife),
  }),
  migrations: {
    1: (reader) => [reader.uint(), DEFAULT_BUCKET_TYPE, true],
    2: (reader) => [reader.uint(), reader.string(), reader.boolean() ? 1 : 0, null],
  },
}

/**
 * Programs of before refuse with `ATOLL_FORMAT` what they would take for another bucket: those of the default type read
 * version 1, and those that know types version 2.
 */
export function encodeBucket(record: BucketRecord): Uint8Array {
  const { type, phase, life } = record
  if (life !== undefined) return encodeWith(bucketCodec, record)
  assert(phase === 'open' || phase === 'proposed', 'only a bucket with an id closes')
  const isPlain = type === DEFAULT_BUCKET_TYPE && phase === 'open'
  return isPlain ? encodeWith(plainCodec, record) : encodeWith(typedCodec, record)
}

export function decodeBucket(bytes: Uint8Array): BucketRecord {
  return decodeWith(bucketCodec, bytes)
}

/**
 * The next bucket of a name. Two who create it at the same time, knowing the same, make one bucket: so the id is
 * derived and not drawn. Of two drawn ids one would hide what was acknowledged under the other.
 */
export function nextLife(
  { digest }: Pick<Runtime, 'digest'>,
  name: string,
  before: BucketLife | undefined,
): BucketLife {
  const generation = (before?.generation ?? 0) + 1
  const id = digest.sha1(utf8(`bucket ${name} ${generation}`)).slice(0, ID_BYTES)
  id[0] = (id[0] ?? 0) | NO_NAME
  return { id, generation, step: 0, mark: 0 }
}

/** Of records that lie beside each other the one that counts; undefined if there are only proposals. */
export function joinBuckets(records: readonly BucketRecord[]): BucketRecord | undefined {
  const [first, ...others] = records.filter(({ phase }) => phase !== 'proposed')
  return first && others.reduce(later, first)
}

/** Whether there is such a bucket. */
export function isThere(record: BucketRecord | undefined): record is BucketRecord {
  return record !== undefined && (record.phase === 'open' || record.phase === 'closing')
}

export function isSameRecord(a: BucketRecord, b: BucketRecord): boolean {
  return (
    compareLives(a.life, b.life) === 0 &&
    a.type === b.type &&
    a.phase === b.phase &&
    a.life?.mark === b.life?.mark
  )
}

/** Where two have gone on from one step, open goes before deleted: then nobody was told that it is deleted. */
const RANKS: Readonly<Record<BucketPhase, number>> = { proposed: 0, closing: 1, deleted: 2, open: 3 }

function later(a: BucketRecord, b: BucketRecord): BucketRecord {
  const order =
    compareLives(b.life, a.life) ||
    RANKS[b.phase] - RANKS[a.phase] ||
    (b.life?.mark ?? 0) - (a.life?.mark ?? 0) ||
    a.createdMs - b.createdMs
  return order > 0 ? b : a
}

function compareLives(a: BucketLife | undefined, b: BucketLife | undefined): number {
  return (a?.generation ?? 0) - (b?.generation ?? 0) || (a?.step ?? 0) - (b?.step ?? 0)
}

function phaseOf(code: number): BucketPhase {
  const phase = BUCKET_PHASES[code]
  if (phase === undefined) throw corrupt(`a bucket record has no known phase, it says ${code}`)
  return phase
}

function readLife(record: TupleReader): BucketLife {
  const reader = record.tuple()
  const life = {
    id: reader.bytes(),
    generation: reader.uint(),
    step: reader.uint(),
    mark: reader.uint(),
  }
  reader.end()
  if (life.id.length !== ID_BYTES || (life.id[0] ?? 0) < NO_NAME || life.generation === 0)
    throw corrupt('a bucket record has an id that is none')
  return life
}
