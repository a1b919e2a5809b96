import { decodeRecord, encodeRecord } from '@atoll/causality'
import { AtollError, concatBytes, isErrorCode, type TupleReader, type TupleValue } from '@atoll/core'
import { packId, unpackId, unpackWhole, versioned } from '../codec.ts'
import type {
  EndRequest,
  HandoffKind,
  OfferReply,
  OfferRequest,
  PartitionRequest,
  SendReply,
  SendRequest,
  SentRecord,
} from './protocol.ts'

const KINDS: readonly HandoffKind[] = ['transfer', 'give-back', 'refill']

export const offerRequestCodec = versioned<OfferRequest>({
  encode: ({ partition, kind, entries }) => ({
    tuple: [partition, KINDS.indexOf(kind), entries.map(({ id, digest }) => [...packId(id), digest])],
  }),
  decode: (reader) => ({
    partition: reader.uint(),
    kind: unpackKind(reader),
    entries: reader.list((item) =>
      unpackWhole(item.tuple(), (entry) => ({ id: unpackId(entry), digest: entry.bytes() })),
    ),
  }),
})

export const offerReplyCodec = versioned<OfferReply>({
  encode: ({ lacking }) => ({ tuple: [[...lacking]] }),
  decode: (reader) => ({ lacking: reader.list((item) => item.uint()) }),
})

/** The values of all records lie end to end in the body. */
export const sendRequestCodec = versioned<SendRequest>({
  encode: ({ partition, kind, records }) => {
    const encoded = records.map(({ id, record }) => ({ id, ...encodeRecord(record) }))
    const [first] = encoded
    return {
      tuple: [
        partition,
        KINDS.indexOf(kind),
        encoded.map(({ id, head, body }) => [...packId(id), head, body.length]),
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
      const id = unpackId(entry)
      const head = entry.bytes()
      const end = start + entry.uint()
      entry.end()
      const record = decodeRecord(head, body.subarray(start, end))
      start = end
      return { id, record }
    })
    if (start !== body.length) throw corrupt('its values are not those of its records')
    return { partition, kind, records }
  },
})

export const sendReplyCodec = versioned<SendReply>({
  encode: ({ refused, pauseMs }) => ({
    tuple: [refused.flatMap(({ at, code }): TupleValue[] => [at, code]), Math.ceil(pauseMs)],
  }),
  decode: (reader) => ({
    refused: reader.list((item) => {
      const at = item.uint()
      const code = item.string()
      return { at, code: isErrorCode(code) ? code : 'ATOLL_STORAGE' }
    }),
    pauseMs: reader.uint(),
  }),
})

/** A seal, or the wish to have a partition back, names the partition. */
export const partitionCodec = versioned<PartitionRequest>({
  encode: ({ partition }) => ({ tuple: [partition] }),
  decode: (reader) => ({ partition: reader.uint() }),
})

export const endRequestCodec = versioned<EndRequest>({
  encode: ({ partition, kind }) => ({ tuple: [partition, KINDS.indexOf(kind)] }),
  decode: (reader) => ({ partition: reader.uint(), kind: unpackKind(reader) }),
})

export const doneCodec = versioned<'done'>({
  encode: () => ({ tuple: [] }),
  decode: () => 'done',
})

function unpackKind(reader: TupleReader): HandoffKind {
  const kind = KINDS[reader.uint()]
  if (kind === undefined) throw corrupt('there is no such kind of handoff')
  return kind
}

function corrupt(why: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `a message of a handoff cannot be read: ${why}`)
}
