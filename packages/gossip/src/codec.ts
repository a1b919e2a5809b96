import { AtollError, EMPTY_BYTES, type TupleReader, type TupleValue } from '@atoll/core'
import type { MessageCodec } from '@atoll/transport'
import { type Digest, MAX_ACCUSERS, type MemberStatus } from './digest.ts'
import type { Fact, FactsDelta } from './facts.ts'
import type { DocumentReply, ExchangeReply, News, Pong, RelayReply, RelayRequest } from './protocol.ts'

/** The numbers are the wire. */
const STATUSES: readonly MemberStatus[] = ['alive', 'suspect', 'dead']

/** What a message may hold at most, whatever the options of its sender. */
const MAX_DIGESTS = 1024
const MAX_DELTAS = 1024
const MAX_FACTS = 64
const MAX_NAME_LENGTH = 255

/** No honest number comes near: incarnations begin below 2^30 and are counted up by hand of one node. */
const MAX_NUMBER = 2 ** 48

export const newsCodec: MessageCodec<News> = {
  encode: ({ digests }) => ({ tuple: [digestsOf(digests)] }),
  decode: (reader) => ({ digests: readDigests(reader) }),
}

export const pongCodec: MessageCodec<Pong> = {
  encode: ({ digests, seesYou }) => ({ tuple: [digestsOf(digests), seesYou] }),
  decode: (reader) => ({ digests: readDigests(reader), seesYou: reader.boolean() }),
}

export const relayRequestCodec: MessageCodec<RelayRequest> = {
  encode: ({ digests, target }) => ({ tuple: [digestsOf(digests), target] }),
  decode: (reader) => ({ digests: readDigests(reader), target: readName(reader) }),
}

export const relayReplyCodec: MessageCodec<RelayReply> = {
  encode: ({ digests, answered }) => ({ tuple: [digestsOf(digests), answered] }),
  decode: (reader) => ({ digests: readDigests(reader), answered: reader.boolean() }),
}

export const exchangeReplyCodec: MessageCodec<ExchangeReply> = {
  encode: ({ digests, deltas }) => ({ tuple: [digestsOf(digests), deltas.map(deltaOf)] }),
  decode: (reader) => ({
    digests: readDigests(reader),
    deltas: readList(reader, { what: 'deltas', max: MAX_DELTAS, item: readDelta }),
  }),
}

export const documentRequestCodec: MessageCodec<null> = {
  encode: () => ({ tuple: [] }),
  decode: () => null,
}

export const documentReplyCodec: MessageCodec<DocumentReply> = {
  encode: ({ version, bytes }) => ({
    tuple: [version],
    body: bytes.length === 0 ? undefined : bytes,
  }),
  decode: (reader, body) => ({ version: reader.uint(), bytes: body.length === 0 ? EMPTY_BYTES : body }),
}

function digestsOf(digests: readonly Digest[]): TupleValue {
  return digests.map((digest) => [
    digest.node,
    digest.incarnation,
    STATUSES.indexOf(digest.status),
    digest.accusers,
    digest.generation,
    digest.counter,
    digest.documentVersion,
  ])
}

function readDigests(reader: TupleReader): Digest[] {
  return readList(reader, { what: 'digests', max: MAX_DIGESTS, item: readDigest })
}

function readDigest(list: TupleReader): Digest {
  const reader = list.tuple()
  const digest = {
    node: readName(reader),
    incarnation: readNumber(reader),
    status: readStatus(reader),
    accusers: readList(reader, { what: 'accusers', max: MAX_ACCUSERS, item: readName }),
    generation: readNumber(reader),
    counter: readNumber(reader),
    documentVersion: reader.uint(),
  }
  reader.end()
  return digest
}

function deltaOf({ node, generation, after, upTo, facts }: FactsDelta): TupleValue {
  const fields = facts.map(({ name, counter, value }): TupleValue => [name, counter, value])
  return [node, generation, after, upTo, fields]
}

function readDelta(list: TupleReader): FactsDelta {
  const reader = list.tuple()
  const delta = {
    node: readName(reader),
    generation: readNumber(reader),
    after: readNumber(reader),
    upTo: readNumber(reader),
    facts: readList(reader, { what: 'facts', max: MAX_FACTS, item: readFact }),
  }
  reader.end()
  return delta
}

function readFact(list: TupleReader): Fact {
  const reader = list.tuple()
  // A copy: a view would keep the whole message in memory for as long as the fact holds.
  const fact = { name: readName(reader), counter: readNumber(reader), value: reader.bytes().slice() }
  reader.end()
  return fact
}

function readStatus(reader: TupleReader): MemberStatus {
  const status = STATUSES[reader.uint()]
  if (status === undefined) throw corrupt('a status that there is not')
  return status
}

function readName(reader: TupleReader): string {
  const name = reader.string()
  if (name.length === 0 || name.length > MAX_NAME_LENGTH) throw corrupt(`a name of ${name.length} characters`)
  return name
}

function readNumber(reader: TupleReader): number {
  const value = reader.uint()
  if (value > MAX_NUMBER) throw corrupt(`the number ${value}`)
  return value
}

interface ListForm<T> {
  readonly what: string
  readonly max: number
  readonly item: (reader: TupleReader) => T
}

function readList<T>(reader: TupleReader, { what, max, item }: ListForm<T>): T[] {
  const list = reader.tuple()
  if (list.remaining > max) throw corrupt(`${list.remaining} ${what}, at most ${max}`)
  const items: T[] = []
  while (list.remaining > 0) items.push(item(list))
  return items
}

function corrupt(what: string): AtollError {
  return new AtollError('ATOLL_CORRUPT', `a gossip message has ${what}`)
}
