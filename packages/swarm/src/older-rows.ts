import { crc32 as zlibCrc32 } from 'node:zlib'
import { concatBytes, continuing, decodeWith, encodeTuple, keyText, type TupleCodec, utf8 } from '@atoll/core'
import { decodeDocument, encodeDocument } from '@atoll/membership'

/** What lies under one key of a database. */
export interface Row {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

const crc32 = continuing(zlibCrc32)

/** The newest format of a database that is known here. Whoever adds one says below how the build before has written it. */
const NEWEST = 5

const FORMAT_KEY = '!meta!format'
/** Its checksum is over its name, not over its key. */
const DOCUMENT_KEY = '!cluster!document'
const NODE_INDEX = '!meta!!index!'
/** What the build before does not keep: counts, notes of what others missed, and of the lives of the data. */
const UNKNOWN = ['!meta!count!', '!meta!hint!', '!cluster!generation']
/** What lies in a partition: its number, then what it is. */
const IN_PARTITION = /^!\d{4}!!(body|data|head|meta)!/
/** Where a build before has put the head of a record. */
const BY_NAME = /^!\d{4}!!data!/
const OWN_INDEX = /^!\d{4}!!index!/
const INCARNATION = '!!meta!incarnation'

/** Envelopes of records: with their values, as all were before, or without. */
const WITH_VALUES = 1
const WITHOUT_VALUES = 2
/** Version and tag of values that lie apart: they begin behind. */
const VALUES_AT = 9
/** The checksum of an envelope, the length of its head, and the head: what is summed begins with the length. */
const SUM_AT = 1
const LENGTH_AT = 5
const HEAD_AT = 9
/** `!0000!!head!`: behind it stands the type, which ends as every part, then the segment. */
const TYPE_AT = 12
const SEGMENT_BYTES = 2
/** A part of a key ends with `00 01`, and a zero byte in it is `00 FF`. */
const END_OF_PART = 1
const PARTITION_BYTES = 2
/** Type, index, scope, term and bucket, before the key. */
const PARTS_BEFORE_KEY = 5

/**
 * The rows of a closed database as the build before would have left them: values with the heads of their records, and
 * these by their names, each index entry in the range of its partition, leases of dots without a lineage, the second
 * format, and nothing that it did not know. What is damaged stays damaged.
 */
export function asOfBefore(rows: readonly Row[]): readonly Row[] {
  const bodies = new Map<string, Uint8Array>()
  for (const { key, value } of rows) {
    const name = keyText(key)
    if (kindOf(name) === 'body') bodies.set(name.replace('!!body!', '!!data!'), value)
  }
  return rows.flatMap((row): readonly Row[] => {
    const name = keyText(row.key)
    if (UNKNOWN.some((prefix) => name.startsWith(prefix))) return []
    if (name === FORMAT_KEY) return [resealed(row, row.key, secondFormat)]
    if (name.startsWith(NODE_INDEX)) return [resealed(row, ownIndexKey(row.key), (entry) => entry)]
    switch (kindOf(name)) {
      case 'body':
        return []
      case 'head': {
        const head = movedHead(row, nameOf(row.key))
        return [withValues(head, bodies.get(keyText(head.key)))]
      }
      case 'meta':
        return name.endsWith(INCARNATION) ? [resealed(row, row.key, withoutLineage)] : [row]
      default:
        return [row]
    }
  })
}

/**
 * The rows of a cluster that the build before has begun: its document tells of no lives. Later ones do not either, as long
 * as somebody is of that build.
 */
export function asBegunBefore(rows: readonly Row[]): readonly Row[] {
  return asOfBefore(rows).map((row) => {
    if (keyText(row.key) !== DOCUMENT_KEY) return row
    const named = { ...row, key: utf8('document') }
    return { ...resealed(named, named.key, withoutLives), key: row.key }
  })
}

function withoutLives(bytes: Uint8Array): Uint8Array {
  const document = decodeDocument(bytes)
  const members = [...document.members].map(
    ([node, member]) => [node, { ...member, generation: undefined }] as const,
  )
  return encodeDocument({ ...document, members: new Map(members), history: undefined })
}

/** What a database still has in a form of before; nothing is said of what is damaged. */
export function leftOfBefore(rows: readonly Row[]): readonly string[] {
  const entries = rows.filter(({ key }) => OWN_INDEX.test(keyText(key))).length
  const heads = rows.filter(({ key }) => BY_NAME.test(keyText(key))).length
  const format = rows.find(({ key }) => keyText(key) === FORMAT_KEY)
  const note = format && unsealed(format)
  return [
    ...(entries > 0 ? [`${entries} index entries in ranges of their partitions`] : []),
    ...(heads > 0 ? [`${heads} records without their segments`] : []),
    ...(note === undefined || formatOf(note).isDone ? [] : ['a note that something is to be converted']),
  ]
}

function kindOf(name: string): string | undefined {
  return IN_PARTITION.exec(name)?.[1]
}

/** Where a build before has put the head of a key; undefined for any other key. */
export function olderHeadKey(key: Uint8Array): Uint8Array | undefined {
  return kindOf(keyText(key)) === 'head' ? nameOf(key) : undefined
}

/** The key of a head without its segment. */
function nameOf(key: Uint8Array): Uint8Array {
  const typeEnd = endOfPart(key, TYPE_AT)
  const front = utf8(keyText(key.subarray(0, TYPE_AT)).replace('head', 'data'))
  return concatBytes([front, key.subarray(TYPE_AT, typeEnd), key.subarray(typeEnd + SEGMENT_BYTES)])
}

/** An envelope under another key, which is in its sum. One that fails its check does so again. */
export function movedHead({ key: from, value }: Row, key: Uint8Array): Row {
  const moved = new Uint8Array(value)
  if (moved.length < HEAD_AT) return { key, value: moved }
  const view = new DataView(moved.buffer)
  const summed = moved.subarray(LENGTH_AT, HEAD_AT + view.getUint32(LENGTH_AT))
  if (view.getUint32(SUM_AT) === crc32(summed, crc32(from))) view.setUint32(SUM_AT, crc32(summed, crc32(key)))
  return { key, value: moved }
}

/** The sum of an envelope covers neither the version nor the values. */
function withValues({ key, value }: Row, body: Uint8Array | undefined): Row {
  if (value[0] !== WITHOUT_VALUES) return { key, value }
  const parts = [new Uint8Array([WITH_VALUES]), value.subarray(1)]
  if (body !== undefined) parts.push(body.subarray(VALUES_AT))
  return { key, value: concatBytes(parts) }
}

/** Of (type, index, scope, term, bucket, key, partition): the last part of a key stands there as it is. */
function ownIndexKey(indexKey: Uint8Array): Uint8Array {
  const keyEnd = indexKey.length - PARTITION_BYTES
  let at = NODE_INDEX.length
  for (let part = 0; part < PARTS_BEFORE_KEY; part++) at = endOfPart(indexKey, at)
  const [high = 0, low = 0] = indexKey.subarray(keyEnd)
  const partition = `${high * 256 + low}`.padStart(4, '0')
  const before = indexKey.subarray(NODE_INDEX.length, at)
  const key = indexKey.subarray(at, keyEnd - 2).filter((_, i, all) => i === 0 || all[i - 1] !== 0)
  return concatBytes([utf8(`!${partition}!!index!`), before, key])
}

function endOfPart(key: Uint8Array, start: number): number {
  let at = key.indexOf(0, start)
  while (at >= 0 && key[at + 1] !== END_OF_PART) at = key.indexOf(0, at + 2)
  if (at < 0) throw new Error(`an index key has too few parts: ${keyText(key)}`)
  return at + 2
}

const CRC_BYTES = 4

/** A value behind which its checksum stands, under a key that is in the sum. One that fails its check does so again. */
function resealed(
  { key: from, value: sealed }: Row,
  key: Uint8Array,
  change: (value: Uint8Array) => Uint8Array,
): Row {
  const value = unsealed({ key: from, value: sealed })
  if (value === undefined) return { key, value: sealed }
  const changed = change(value)
  const sum = new Uint8Array(CRC_BYTES)
  new DataView(sum.buffer).setUint32(0, crc32(changed, crc32(key)))
  return { key, value: concatBytes([changed, sum]) }
}

/** Undefined if it fails its check. */
function unsealed({ key, value: sealed }: Row): Uint8Array | undefined {
  const end = Math.max(0, sealed.length - CRC_BYTES)
  const value = sealed.subarray(0, end)
  const view = new DataView(sealed.buffer, sealed.byteOffset, sealed.length)
  return view.getUint32(end) === crc32(value, crc32(key)) ? value : undefined
}

function secondFormat(note: Uint8Array): Uint8Array {
  const { whose, isFiledByKey } = formatOf(note)
  return encodeTuple(2, [...whose, isFiledByKey])
}

interface Format {
  readonly version: number
  /** Of which program and node the database is, and of how many partitions. */
  readonly whose: readonly [program: string, node: string, partitions: number]
  readonly isFiledByKey: boolean
  /** Whether nothing is left to be done with what a build before has written. */
  readonly isDone: boolean
}

function formatOf(note: Uint8Array): Format {
  const [version = 0] = note
  if (version > NEWEST) throw new Error(`older-rows.ts does not know format ${version} of a database yet`)
  return decodeWith(formatCodec(version), note)
}

const formatCodec = (version: number): TupleCodec<Format> => ({
  name: 'the format of the database',
  version,
  encode: () => {
    throw new TypeError('the format of a database is not written here')
  },
  decode: (reader) => {
    const whose = [reader.string(), reader.string(), reader.uint()] as const
    const isFiledByKey = reader.boolean()
    const done = [isFiledByKey]
    while (reader.remaining > 0) done.push(reader.boolean())
    return { version, whose, isFiledByKey, isDone: version === NEWEST && done.every((isDone) => isDone) }
  },
})

/** A lease is the actor, how far it goes, and since the second version its lineage. */
function withoutLineage(lease: Uint8Array): Uint8Array {
  return lease[0] === leaseCodec.version ? encodeTuple(1, decodeWith(leaseCodec, lease)) : lease
}

const leaseCodec: TupleCodec<readonly [actor: string, ceiling: number]> = {
  name: 'the incarnation of a vnode',
  version: 2,
  encode: (lease) => [...lease, ''],
  decode: (reader) => {
    const lease = [reader.string(), reader.uint()] as const
    reader.string()
    return lease
  },
}
