import { decodeRecord, encodeRecord } from '@atoll/causality'
import {
  AtollError,
  concatBytes,
  isAtollErrorCode,
  MAX_DELAY_MS,
  packKeyId,
  type TupleReader,
  type TupleValue,
  unpackKeyId,
  unpackWhole,
} from '@atoll/core'
import { versioned } from '@atoll/transport'
import type { RecordDigest } from '@atoll/vnode'
import { MAX_PAGE_RECORDS } from './options.ts'
import type {
  EndRequest,
  HandoffKind,
  OfferReply,
  OfferRequest,
  OfRing,
  PartitionRequest,
  SendReply,
  SendRequest,
  SentRecord,
} from './protocol.ts'

/** The first field of every message. */
const VERSION = 1

const KINDS: readonly HandoffKind[] = ['transfer', 'give-back', 'refill']

export const offerRequestCodec = versioned<OfferRequest>(VERSION, {
  encode: ({ partition, kind, entries, partitions }) => ({
    tuple: [
      partition,
      KINDS.indexOf(kind),
      entries.map(({ id, digest }) => [...packKeyId(id), digest]),
      ...packRing(partitions),
      ...(partitions === undefined ? [] : packWrites(entries)),
    ],
  }),
  decode: (reader) => {
    const partition = reader.uint()
    const kind = unpackKind(reader)
    const entries = reader.list(
      (item) => unpackWhole(item.tuple(), (entry) => ({ id: unpackKeyId(entry), digest: entry.bytes() })),
      MAX_PAGE_RECORDS,
    )
    const ring = unpackRing(reader)
    const writes = reader.remaining === 0 ? [] : reader.list((item) => item.bytes(), MAX_PAGE_RECORDS)
    return {
      partition,
      kind,
      ...ring,
      entries: entries.map((entry, at) => withWrites(entry, writes[at])),
    }
  },
})

export const offerReplyCodec = versioned<OfferReply>(VERSION, {
  encode: ({ lacking }) => ({ tuple: [[...lacking]] }),
  decode: (reader) => ({ lacking: reader.list((item) => item.uint(), MAX_PAGE_RECORDS) }),
})

/** The values of all records lie end to end in the body. */
export const sendRequestCodec = versioned<SendRequest>(VERSION, {
  encode: ({ partition, kind, records, partitions }) => {
    const encoded = records.map(({ id, record }) => ({ id, ...encodeRecord(record) }))
    const [first] = encoded
    return {
      tuple: [
        partition,
        KINDS.indexOf(kind),
        encoded.map(({ id, head, body }) => [...packKeyId(id), head, body.length]),
        ...packRing(partitions),
      ],
      body:
        first !== undefined && encoded.length === 1
          ? first.body
          : concatBytes(encoded.map(({ body }) => body)),
    }
  },
  decode: (reader, body) => {
    const partition = reader.uint()
    const kind = unpackKind(reader)
    let start = 0
    const records = reader.list((item): SentRecord => {
      const entry = item.tuple()
      const id = unpackKeyId(entry)
      const head = entry.bytes()
      const end = start + entry.uint()
      entry.end()
      const record = decodeRecord(head, body.subarray(start, end))
      start = end
      return { id, record }
    }, MAX_PAGE_RECORDS)
    if (start !== body.length) throw corrupt('its values are not those of its records')
    return { partition, kind, records, ...unpackRing(reader) }
  },
})

export const sendReplyCodec = versioned<SendReply>(VERSION, {
  encode: ({ refused, pauseMs }) => ({
    tuple: [refused.flatMap(({ at, code }): TupleValue[] => [at, code]), Math.ceil(pauseMs)],
  }),
  decode: (reader) => ({
    refused: reader.list((item) => {
      const at = item.uint()
      const code = item.string()
      return { at, code: isAtollErrorCode(code) ? code : 'ATOLL_STORAGE' }
    }, MAX_PAGE_RECORDS),
    pauseMs: unpackPause(reader),
  }),
})

/** A seal, or the wish to have a partition back, names the partition. */
export const partitionCodec = versioned<PartitionRequest>(VERSION, {
  encode: ({ partition, partitions }) => ({ tuple: [partition, ...packRing(partitions)] }),
  decode: (reader) => ({ partition: reader.uint(), ...unpackRing(reader) }),
})

export const endRequestCodec = versioned<EndRequest>(VERSION, {
  encode: ({ partition, kind, partitions }) => ({
    tuple: [partition, KINDS.indexOf(kind), ...packRing(partitions)],
  }),
  decode: (reader) => ({ partition: reader.uint(), kind: unpackKind(reader), ...unpackRing(reader) }),
})

export const doneCodec = versioned<'done'>(VERSION, {
  encode: () => ({ tuple: [] }),
  decode: () => 'done',
})

/** Stands at the end of what is said of a partition; the first messages lack it. */
function packRing(partitions: number | undefined): readonly TupleValue[] {
  return partitions === undefined ? [] : [partitions]
}

/** Behind the ring, or nothing: only for those who know `WRITE_IDS`. */
function packWrites(entries: OfferRequest['entries']): readonly TupleValue[] {
  const writes = entries.flatMap((entry) => (entry.writes === undefined ? [] : [entry.writes]))
  return writes.length === entries.length ? [writes] : []
}

function withWrites(entry: RecordDigest, writes: Uint8Array | undefined): RecordDigest {
  return writes === undefined ? entry : { ...entry, writes }
}

function unpackRing(reader: TupleReader): OfRing {
  return reader.remaining === 0 ? {} : { partitions: reader.uint() }
}

function unpackPause(reader: TupleReader): number {
  const pauseMs = reader.uint()
  if (pauseMs > MAX_DELAY_MS) throw corrupt(`it asks for a pause of ${pauseMs} ms`)
  return pauseMs
}

function unpackKind(reader: TupleReader): HandoffKind {
  const kind = KINDS[reader.uint()]
  if (kind === undefined) throw corrupt('there is no such kind of handoff')
  return kind
}

function corrupt(why: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `a message of a handoff cannot be read: ${why}`)
}
