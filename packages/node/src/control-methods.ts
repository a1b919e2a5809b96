import { AtollError, type TupleReader } from '@atoll/core'
import type { HandoffStatus } from '@atoll/handoff'
import { MAX_PARTITIONS } from '@atoll/ring'
import type { MessageCodec, Method } from '@atoll/transport'

export interface SizesRequest {
  readonly partitions: readonly number[]
}

const nothingCodec: MessageCodec<null> = { encode: () => ({ tuple: [] }), decode: () => null }

const KINDS = ['transfer', 'give-back', 'refill'] as const satisfies readonly HandoffStatus['kind'][]
const DIRECTIONS = ['out', 'in'] as const
const PHASES = [
  'waiting',
  'copying',
  'catching-up',
  'sealing',
  'sealed',
  'giving-back',
  'refilling',
  'receiving',
] as const satisfies readonly HandoffStatus['phase'][]

const statusesCodec: MessageCodec<readonly HandoffStatus[]> = {
  encode: (statuses) => ({
    tuple: [
      statuses.map((status) => [
        KINDS.indexOf(status.kind),
        DIRECTIONS.indexOf(status.direction),
        PHASES.indexOf(status.phase),
        status.partition,
        status.from,
        status.to,
        status.records,
        status.bytes,
        status.skipped,
        Math.round(status.startedMs),
      ]),
    ],
  }),
  decode: (reader) => reader.list((item) => readStatus(item.tuple())),
}

function readStatus(reader: TupleReader): HandoffStatus {
  const status: HandoffStatus = {
    kind: oneOf(KINDS, reader.uint()),
    direction: oneOf(DIRECTIONS, reader.uint()),
    phase: oneOf(PHASES, reader.uint()),
    partition: reader.uint(),
    from: reader.string(),
    to: reader.string(),
    records: reader.uint(),
    bytes: reader.uint(),
    skipped: reader.uint(),
    startedMs: reader.uint(),
  }
  reader.end()
  return status
}

function oneOf<T>(values: readonly T[], at: number): T {
  const value = values[at]
  if (value === undefined)
    throw new AtollError('ATOLL_CORRUPT', `a handoff cannot be read: there is no ${at}`)
  return value
}

/** The handoffs of a node. */
export const transfersMethod: Method<null, readonly HandoffStatus[]> = {
  name: 'node.transfers',
  request: nothingCodec,
  response: statusesCodec,
}

/**
 * How large partitions are on a node, in bytes, in the order in which they were asked for. Null stands for one that is still
 * being counted; a peer of an earlier build cannot read that, and then knows of none.
 */
export const sizesMethod: Method<SizesRequest, readonly (number | undefined)[]> = {
  name: 'node.sizes',
  request: {
    encode: ({ partitions }) => ({ tuple: [partitions] }),
    decode: (reader) => ({ partitions: reader.list((item) => item.uint(), MAX_PARTITIONS) }),
  },
  response: {
    encode: (sizes) => ({ tuple: [sizes.map((bytes) => bytes ?? null)] }),
    decode: (reader) => reader.list((item) => item.optional((field) => field.uint()), MAX_PARTITIONS),
  },
}

/** The newest document that a node knows, as bytes; for one that does not know any yet. */
export const documentMethod: Method<null, Uint8Array> = {
  name: 'node.document',
  openToStrangers: true,
  request: nothingCodec,
  response: {
    encode: (bytes) => ({ tuple: [], body: bytes }),
    decode: (_reader, body) => body,
  },
}

/** The newest document that a node knows, for one that lacks it. */
export const newsMethod: Method<Uint8Array, null> = {
  name: 'node.news',
  request: documentMethod.response,
  response: nothingCodec,
}
