import { fromHex, type TupleCodec, type TupleReader, type TupleValue, toHex } from '@atoll/core'
import { corrupt } from './corrupt.ts'
import { type History, type Mark, NEVER } from './history.ts'
import { type Content, contentTuple, MANIFEST_STATES, type Manifest, type ManifestState } from './manifest.ts'

const MD5_BYTES = 16

/** The value of a manifest record. */
export const historyCodec: TupleCodec<History> = {
  name: 'manifest record',
  version: 1,
  encode: ({ retired, manifests }) => [
    retired.version === 0 ? null : [retired.version, fromHex(retired.uuid), retired.atMs],
    [...manifests.values()].sort((a, b) => (a.uuid < b.uuid ? -1 : 1)).map(manifestTuple),
  ],
  decode: (reader) => {
    const retired = reader.optional(readMark) ?? NEVER
    const manifests = reader.list(readManifest)
    return { retired, manifests: new Map(manifests.map((manifest) => [manifest.uuid, manifest])) }
  },
}

/** What a listing shows of an object without reading its record. */
export interface Summary {
  readonly version: number
  readonly uuid: string
  readonly size: number
  /** 16 bytes. */
  readonly md5: Uint8Array
  readonly modifiedMs: number
}

/** The payload of an object in the index `list`. */
export const summaryCodec: TupleCodec<Summary> = {
  name: 'list entry',
  version: 1,
  encode: ({ version, uuid, size, md5, modifiedMs }) => [version, fromHex(uuid), size, md5, modifiedMs],
  decode: (reader) => ({
    version: reader.uint(),
    uuid: readUuid(reader),
    size: reader.uint(),
    md5: reader.bytes(),
    modifiedMs: reader.uint(),
  }),
}

function manifestTuple(manifest: Manifest): readonly TupleValue[] {
  const { uuid, state, blocks, sealed, leaseEndsMs, removedMs, content } = manifest
  return [
    fromHex(uuid),
    MANIFEST_STATES.indexOf(state),
    blocks,
    sealed,
    leaseEndsMs,
    removedMs,
    content === undefined ? null : contentTuple(content),
  ]
}

function readManifest(list: TupleReader): Manifest {
  const reader = list.tuple()
  const manifest = {
    uuid: readUuid(reader),
    state: readState(reader),
    blocks: reader.uint(),
    sealed: reader.boolean(),
    leaseEndsMs: reader.uint(),
    removedMs: reader.uint(),
    content: reader.optional(readContent),
  }
  reader.end()
  if (!isWhole(manifest)) throw corrupt('a manifest record contradicts itself')
  return manifest
}

function isWhole({ state, blocks, sealed, content }: Manifest): boolean {
  if (content === undefined) return state !== 'active'
  const { size, md5, inline, checksums, blockBytes } = content
  const inlineBytes = blocks === 0 ? size : 0
  return (
    state === 'active' &&
    sealed &&
    md5.length === MD5_BYTES &&
    inline.length === inlineBytes &&
    checksums.length === 4 * blocks &&
    (blocks === 0 || blocks === Math.ceil(size / blockBytes))
  )
}

function readContent(manifest: TupleReader): Content {
  const reader = manifest.tuple()
  const content = {
    version: reader.uint(),
    size: reader.uint(),
    md5: reader.bytes(),
    contentType: reader.string(),
    metadata: reader.list((pair): readonly [string, string] => [pair.string(), pair.string()]),
    modifiedMs: reader.uint(),
    blockBytes: reader.uint(),
    inline: reader.bytes(),
    checksums: reader.bytes(),
  }
  reader.end()
  return content
}

function readMark(record: TupleReader): Mark {
  const reader = record.tuple()
  const mark = { version: reader.uint(), uuid: readUuid(reader), atMs: reader.uint() }
  reader.end()
  return mark
}

function readUuid(reader: TupleReader): string {
  return toHex(reader.bytes())
}

function readState(reader: TupleReader): ManifestState {
  const state = MANIFEST_STATES[reader.uint()]
  if (state === undefined) throw corrupt('a manifest record has a version in no known state')
  return state
}
