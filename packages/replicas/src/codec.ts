import { type Content, decodeContext, decodeRecord, encodeContext, encodeRecord } from '@atoll/causality'
import {
  AtollError,
  type KeyId,
  messageOf,
  packPlacedKey,
  type TupleReader,
  type TupleValue,
  unpackKeyId,
  unpackPlacedKey,
  unpackWhole,
} from '@atoll/core'
import { checkNodeName, MAX_PARTITIONS, MAX_REPLICAS } from '@atoll/ring'
import { type Message, type MessageCodec, readVersion, versioned } from '@atoll/transport'
import {
  type CoordinateReply,
  type CoordinateRequest,
  type GetReply,
  type GetRequest,
  type HintRequest,
  MAX_TWICE,
  type PutReply,
  type PutRequest,
  type ScanEntry,
  type ScanPosition,
  type ScanReply,
  type ScanRequest,
  type ScanVnode,
} from '@atoll/vnode'
import { type Routed, type Routing, UNROUTED } from './protocol.ts'

/** The first field of every message. A peer of a later version is refused, never misread. */
const VERSION = 1
/** From this version on a request says by what it came. */
const ROUTED_VERSION = 2

/** At the end stands whether the digest will do, only for those who know `DIGEST_READS`. */
export const getRequestCodec = routed<GetRequest>({
  encode: ({ routing, partition, id, digestOnly }) => {
    const tuple = keyed(routing, partition, id)
    if (digestOnly) tuple.push(true)
    return { tuple }
  },
  decode: (reader, _body, routing) => ({
    partition: reader.uint(),
    id: unpackKeyId(reader),
    digestOnly: unpackFlag(reader),
    routing,
  }),
})

/**
 * The head of the record is null if there is none. Its values are the body. The digest stands behind it, only for those
 * who have asked for it.
 */
export const getReplyCodec = versioned<GetReply>(VERSION, {
  encode: ({ record, corrupt, digest }) => {
    if (record === undefined)
      return { tuple: digest === undefined ? [corrupt, null] : [corrupt, null, digest] }
    const { head, body } = encodeRecord(record)
    return { tuple: [corrupt, head], body }
  },
  decode: (reader, body) => {
    const corrupt = reader.boolean()
    const head = reader.optional((field) => field.bytes())
    if (head !== undefined) return { record: decodeRecord(head, body), corrupt }
    return { record: undefined, corrupt, digest: reader.remaining === 0 ? undefined : reader.bytes() }
  },
})

/**
 * At the end stands what the record is to be met with, if anything: true to tell whether it is alone, false for a fresh
 * one. A node of an earlier build takes the latter for nothing said, and writes every record of a write-once type as it did.
 * Behind it stands whether to tell of dots given twice, which is asked only of those who know `WRITE_IDS`; then the
 * holders that miss the write, which only those are told who know `HINTS`; and then that nobody wants to hear of it before
 * it is durable, which is said only to those who know `QUIET_PUTS`.
 */
export const putRequestCodec = routed<PutRequest>({
  encode: (request) => {
    const { head, body } = encodeRecord(request.record)
    const tuple = keyed(request.routing, request.partition, request.id)
    tuple.push(head, ...packAsked(request))
    return { tuple, body }
  },
  decode: (reader, body, routing) => {
    const partition = reader.uint()
    const id = unpackKeyId(reader)
    const record = decodeRecord(reader.bytes(), body)
    const { tellAlone, isFresh, tellTwice, hintFor, quiet } = unpackAsked(reader)
    return { partition, id, record, tellAlone, isFresh, tellTwice, hintFor, quiet, routing }
  },
})

/** Actors whose dots were given twice stand at the end, and only for those who have asked for them. */
export const putReplyCodec = versioned<PutReply>(VERSION, {
  encode: ({ changed, alone, twice = [] }) => {
    if (twice.length > 0) return { tuple: [changed, alone ?? false, twice] }
    return { tuple: alone === undefined ? [changed] : [changed, alone] }
  },
  decode: (reader) => {
    const changed = reader.boolean()
    const alone = reader.remaining === 0 ? undefined : reader.boolean()
    if (reader.remaining === 0) return { changed, alone }
    return { changed, alone, twice: reader.list((item) => item.string(), MAX_TWICE) }
  },
})

/** The only thing that is told of a put before it is durable: that it was accepted. */
export const acceptedCodec = versioned<'accepted'>(VERSION, {
  encode: () => ({ tuple: [] }),
  decode: () => 'accepted',
})

/**
 * At the end stand the condition, who misses the write, and whether to tell what is decided; each only if those behind
 * it do.
 */
export const coordinateRequestCodec = routed<CoordinateRequest>({
  encode: (request) => {
    const { routing, partition, id, content, valueCrc32, context, writeId } = request
    const tuple = keyed(routing, partition, id)
    tuple.push(valueCrc32, writeId, context === undefined ? null : encodeContext(context))
    tuple.push(...packContent(content))
    tuple.push(...packCondition(request))
    return { tuple, body: content.value }
  },
  decode: (reader, body, routing) => ({
    partition: reader.uint(),
    id: unpackKeyId(reader),
    valueCrc32: reader.uint(),
    writeId: reader.bytes(),
    context: reader.optional((field) => decodeContext(field.bytes())),
    content: unpackContent(reader, body),
    ifAlone: unpackFlag(reader),
    hintFor: unpackHintFor(reader),
    tellDecided: unpackFlag(reader),
    routing,
  }),
})

/** The head of a record of which whoever is told has the value. */
export const decidedCodec = versioned<Uint8Array>(VERSION, {
  encode: (head) => ({ tuple: [head] }),
  decode: (reader) => reader.bytes(),
})

export const coordinateReplyCodec = versioned<CoordinateReply>(VERSION, {
  encode: ({ record, declined }) => {
    const { head, body } = encodeRecord(record)
    return { tuple: [head, ...packFlag(declined)], body }
  },
  decode: (reader, body) => ({ record: decodeRecord(reader.bytes(), body), declined: unpackFlag(reader) }),
})

/** What a hint is about is on the disk already. */
export const hintRequestCodec = routed<HintRequest>({
  encode: ({ routing, partition, id, hintFor }) => ({
    tuple: [...keyed(routing, partition, id), [...hintFor]],
  }),
  decode: (reader, _body, routing) => ({
    partition: reader.uint(),
    id: unpackKeyId(reader),
    hintFor: reader.list(unpackNode, MAX_REPLICAS),
    routing,
  }),
})

export const hintReplyCodec = versioned<'done'>(VERSION, {
  encode: () => ({ tuple: [] }),
  decode: () => 'done',
})

/**
 * Places of the fallbacks among the vnodes stand behind the rest, which version 1 lacks; then, if it is said, how many
 * partitions there are; and then by what terms are put together, for those who know `SCAN_GROUPS`.
 */
export const scanRequestCodec = routed<ScanRequest>({
  encode: ({ routing, vnodes, partitions, type, index, scope, from, to, after, limit, groups }) => ({
    tuple: [
      ...routedHead(routing),
      vnodes.map(({ partition, slices }) => [partition, ...slices]),
      type,
      index,
      scope,
      from ?? null,
      to ?? null,
      after === undefined ? null : packPosition(after),
      limit,
      vnodes.flatMap(({ role }, at) => (role === 'fallback' ? [at] : [])),
      ...(partitions === undefined && groups === undefined ? [] : [partitions ?? null]),
      ...(groups === undefined ? [] : [groups.prefix, groups.delimiter]),
    ],
  }),
  decode: (reader, _body, routing) => {
    const vnodes = reader.list(unpackVnode, MAX_PARTITIONS)
    const request = {
      type: reader.string(),
      index: reader.string(),
      scope: reader.bytes(),
      from: reader.optional((field) => field.bytes()),
      to: reader.optional((field) => field.bytes()),
      after: reader.optional((field) => unpackWhole(field.tuple(), unpackPosition)),
      limit: reader.uint(),
    }
    const fallbacks = new Set(
      reader.remaining === 0 ? [] : reader.list((item) => item.uint(), MAX_PARTITIONS),
    )
    const roled = vnodes.map((vnode, at) => withRole(vnode, fallbacks.has(at)))
    const partitions = reader.remaining === 0 ? undefined : reader.optional((field) => field.uint())
    const groups = reader.remaining === 0 ? undefined : { prefix: reader.bytes(), delimiter: reader.bytes() }
    return { ...request, partitions, vnodes: roled, groups, routing }
  },
})

export const scanReplyCodec = versioned<ScanReply>(VERSION, {
  encode: ({ entries, done }) => ({ tuple: [done, entries.map(packEntry)] }),
  decode: (reader) => ({
    done: reader.boolean(),
    entries: reader.list((item) => unpackWhole(item.tuple(), unpackEntry)),
  }),
})

/** Requests are made field by field: to spread one costs more than the rest of its encoding. */
interface RoutedCodec<Request> {
  /** The tuple begins with `routedHead`. */
  encode(request: Routed<Request>): Message
  decode(reader: TupleReader, body: Uint8Array, routing: Routing): Routed<Request>
}

/** A request with its routing in front, which version 1 lacks. */
function routed<Request>({ encode, decode }: RoutedCodec<Request>): MessageCodec<Routed<Request>> {
  return {
    encode,
    decode: (reader, body) => {
      const version = readVersion(reader, ROUTED_VERSION)
      const routing = version < ROUTED_VERSION ? UNROUTED : unpackWhole(reader.tuple(), unpackRouting)
      return decode(reader, body, routing)
    },
  }
}

function routedHead(routing: Routing): TupleValue[] {
  return [ROUTED_VERSION, packRouting(routing)]
}

/** The beginning of every request for a key. */
function keyed(routing: Routing, partition: number, id: KeyId): TupleValue[] {
  return [ROUTED_VERSION, packRouting(routing), partition, id.type, id.bucket, packPlacedKey(id)]
}

function packRouting({ role, epoch, forwards, bySeal }: Routing): readonly TupleValue[] {
  return [epoch, role === 'fallback', forwards, bySeal]
}

function unpackRouting(reader: TupleReader): Routing {
  const epoch = reader.uint()
  const role = reader.boolean() ? 'fallback' : 'primary'
  return { role, epoch, forwards: reader.uint(), bySeal: reader.boolean() }
}

/** A flag stands at the end, and only if it is set: earlier nodes know of none. */
function packFlag(flag: boolean | undefined): readonly TupleValue[] {
  return flag === true ? [true] : []
}

function unpackFlag(reader: TupleReader): true | undefined {
  return reader.remaining > 0 && reader.boolean() ? true : undefined
}

function packCondition({
  ifAlone,
  hintFor,
  tellDecided,
}: Pick<CoordinateRequest, 'ifAlone' | 'hintFor' | 'tellDecided'>): readonly TupleValue[] {
  const holders = hintFor === undefined ? null : [...hintFor]
  if (tellDecided) return [ifAlone ?? false, holders, true]
  return holders === null ? packFlag(ifAlone) : [ifAlone ?? false, holders]
}

type Asked = Pick<PutRequest, 'tellAlone' | 'isFresh' | 'tellTwice' | 'hintFor' | 'quiet'>
const NOTHING_ASKED: Asked = {}

function packAsked({ tellAlone, isFresh, tellTwice, hintFor, quiet }: Asked): readonly TupleValue[] {
  if (hintFor !== undefined || quiet) {
    const first = isFresh ? false : (tellAlone ?? (tellTwice ? false : null))
    const holders = hintFor === undefined ? null : [...hintFor]
    return quiet ? [first, tellTwice ?? false, holders, true] : [first, tellTwice ?? false, holders]
  }
  if (isFresh) return [false]
  return tellTwice ? [tellAlone ?? false, true] : packFlag(tellAlone)
}

function unpackAsked(reader: TupleReader): Asked {
  if (reader.remaining === 0) return NOTHING_ASKED
  const first = reader.optional((field) => field.boolean())
  const tellTwice = unpackFlag(reader)
  const hintFor = unpackHintFor(reader)
  const quiet = unpackFlag(reader)
  if (first === undefined) return { hintFor, quiet }
  const tellAlone = first || undefined
  return tellTwice || first ? { tellAlone, tellTwice, hintFor, quiet } : { isFresh: true, hintFor, quiet }
}

function unpackHintFor(reader: TupleReader): PutRequest['hintFor'] {
  if (reader.remaining === 0) return undefined
  return reader.optional((field) => field.list(unpackNode, MAX_REPLICAS))
}

function unpackNode(item: TupleReader): string {
  const name = item.string()
  try {
    return checkNodeName('hintFor', name)
  } catch (cause) {
    throw new AtollError('ATOLL_CORRUPT', `a message names no proper node: ${messageOf(cause)}`, { cause })
  }
}

function packContent({ metadata, tombstone, expiresAtMs, indexes }: Content): readonly TupleValue[] {
  return [
    tombstone,
    expiresAtMs ?? null,
    metadata.size === 0 ? [] : [...metadata].flat(),
    indexes.flatMap(({ index, scope, term, payload }) => [index, scope, term, payload]),
  ]
}

function unpackContent(reader: TupleReader, value: Uint8Array): Content {
  return {
    value,
    tombstone: reader.boolean(),
    expiresAtMs: reader.optional((field) => field.number()),
    metadata: new Map(reader.list((item) => [item.string(), item.string()])),
    indexes: reader.list((item) => ({
      index: item.string(),
      scope: item.bytes(),
      term: item.bytes(),
      payload: item.bytes(),
    })),
  }
}

function withRole(vnode: ScanVnode, isFallback: boolean): ScanVnode {
  return { ...vnode, role: isFallback ? 'fallback' : 'primary' }
}

function unpackVnode(item: TupleReader): ScanVnode {
  const reader = item.tuple()
  const partition = reader.uint()
  const slices: number[] = []
  if (reader.remaining > MAX_PARTITIONS) {
    const message = `a scan cannot be read: ${reader.remaining} slices of a vnode, at most ${MAX_PARTITIONS}`
    throw new AtollError('ATOLL_CORRUPT', message)
  }
  while (reader.remaining > 0) slices.push(reader.uint())
  return { partition, slices }
}

function packPosition(position: ScanPosition): readonly TupleValue[] {
  return [position.term, position.bucket, packPlacedKey(position)]
}

function unpackPosition(reader: TupleReader): ScanPosition {
  return { term: reader.bytes(), bucket: reader.bytes(), ...unpackPlacedKey(reader) }
}

function packEntry(entry: ScanEntry): readonly TupleValue[] {
  return [...packPosition(entry), entry.slice, entry.clockDigest, [...entry.payloads]]
}

function unpackEntry(reader: TupleReader): ScanEntry {
  return {
    ...unpackPosition(reader),
    slice: reader.uint(),
    clockDigest: reader.bytes(),
    payloads: reader.list((item) => item.bytes()),
  }
}
