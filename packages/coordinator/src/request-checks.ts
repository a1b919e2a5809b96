import { checkIndexEntries, INDEX_LIMITS } from '@atoll/causality'
import {
  checkBoolean,
  checkBytes,
  checkFunction,
  checkInteger,
  checkKnown,
  checkObject,
  checkSignal,
  checkText,
  describe,
  isAtollError,
  type KeyId,
  messageOf,
  type TermGroups,
  wrongRange,
  wrongType,
} from '@atoll/core'
import { checkAbsence } from './bucket-properties.ts'
import type { DeleteOptions, KvScan, KvWrite, ReadOptions, WriteOptions } from './kv.ts'
import { WRITE_ID_BYTES } from './new-write.ts'

const TYPE_FORM = 'the name of a bucket type'
const BUCKET_BYTES = { min: 1, max: 1024 }
const KEY_BYTES = { min: 1, max: 4096 }
const ANY_BYTES = { min: 0, max: Number.MAX_SAFE_INTEGER }
const CRC32 = { min: 0, max: 0xffff_ffff }
const SCAN_LIMIT = { min: 1, max: 10_000 }

const READ_OPTIONS = [
  'n',
  'r',
  'pr',
  'notfoundOk',
  'basicQuorum',
  'absence',
  'sloppy',
  'timeoutMs',
  'signal',
  'accept',
  'known',
  'shows',
  'repair',
] as const satisfies readonly (keyof ReadOptions)[]
const WRITE_OPTIONS = [
  'n',
  'w',
  'dw',
  'pw',
  'sloppy',
  'timeoutMs',
  'signal',
] as const satisfies readonly (keyof WriteOptions)[]
const WRITE = [
  'value',
  'valueCrc32',
  'writeId',
  'onReleased',
  'metadata',
  'indexes',
  'context',
  'ifAlone',
  'ifUnchanged',
  'expiresAtMs',
] as const satisfies readonly (keyof KvWrite)[]
const SCAN = [
  'type',
  'index',
  'scope',
  'from',
  'to',
  'after',
  'limit',
  'groups',
] as const satisfies readonly (keyof KvScan)[]
const DELETE_OPTIONS = [...WRITE_OPTIONS, 'context'] as const satisfies readonly (keyof DeleteOptions)[]

export function checkId(id: KeyId): void {
  checkObject('id', id)
  if (typeof id.type !== 'string' || id.type === '') checkText('type', id.type, /./s, TYPE_FORM)
  checkBytes('bucket', id.bucket, BUCKET_BYTES)
  checkBytes('key', id.key, KEY_BYTES)
  if (id.place !== undefined) checkBytes('place', id.place, KEY_BYTES)
}

export function checkReadOptions(options: ReadOptions): void {
  checkKnown('a read', options, READ_OPTIONS)
  checkSignal(options.signal)
  if (options.absence !== undefined) checkAbsence(options.absence)
  for (const name of ['notfoundOk', 'basicQuorum', 'sloppy', 'known', 'repair'] as const)
    if (options[name] !== undefined) checkBoolean(name, options[name])
  checkFunction('accept', options.accept)
  checkFunction('shows', options.shows)
}

export function checkWriteOptions(options: WriteOptions): void {
  checkKnown('a write', options, WRITE_OPTIONS)
  checkCommonOfWrites(options)
}

export function checkDeleteOptions(options: DeleteOptions): void {
  checkKnown('a deletion', options, DELETE_OPTIONS)
  checkCommonOfWrites(options)
}

function checkCommonOfWrites({ signal, sloppy }: WriteOptions): void {
  checkSignal(signal)
  if (sloppy !== undefined) checkBoolean('sloppy', sloppy)
}

export function checkWrite(write: KvWrite): void {
  checkKnown('a record to write', checkObject('write', write), WRITE)
  const { value, valueCrc32, writeId, metadata, indexes, expiresAtMs, ifAlone, ifUnchanged } = write
  checkBytes('value', value, ANY_BYTES)
  if (writeId !== undefined) checkBytes('writeId', writeId, { min: WRITE_ID_BYTES, max: WRITE_ID_BYTES })
  checkFunction('onReleased', write.onReleased)
  if (ifAlone !== undefined) checkBoolean('ifAlone', ifAlone)
  if (ifUnchanged !== undefined && ifUnchanged !== 'one' && ifUnchanged !== 'all')
    throw wrongRange('ifUnchanged', `must be one or all, got ${describe(ifUnchanged)}`)
  if (valueCrc32 !== undefined) checkInteger('valueCrc32', valueCrc32, CRC32)
  if (metadata !== undefined) checkMetadata(metadata)
  if (expiresAtMs !== undefined && !Number.isFinite(expiresAtMs))
    throw wrongRange('expiresAtMs', `must be a finite number, got ${describe(expiresAtMs)}`)
  if (indexes !== undefined) checkIndexEntries(indexes)
}

function checkMetadata(metadata: unknown): void {
  if (!(metadata instanceof Map)) throw wrongType('metadata', `must be a Map, got ${describe(metadata)}`)
  for (const [name, value] of metadata) {
    checkText('a name in metadata', name, /^/, 'a text')
    checkText(`metadata.${name}`, value, /^/, 'a text')
  }
}

/**
 * Reads the bytes of a causal context, or of a place in a scan, that an earlier answer had. Throws `TypeError` or
 * `RangeError` for others, `ATOLL_FORMAT` for those of a newer program.
 */
export function readBack<T>(
  argument: string,
  bytes: Uint8Array | undefined,
  decode: (bytes: Uint8Array) => T,
): T | undefined {
  if (bytes === undefined) return undefined
  checkBytes(argument, bytes, ANY_BYTES)
  try {
    return decode(bytes)
  } catch (error) {
    if (!isAtollError(error, 'ATOLL_CORRUPT')) throw error
    throw wrongRange(argument, `must be what an earlier answer had as such: ${messageOf(error)}`)
  }
}

/** Answers the limit. */
export function checkScan(scan: KvScan): number {
  checkKnown('a scan', checkObject('scan', scan), SCAN)
  const { type, index, scope, from, to, limit = 1000, groups } = scan
  checkText('type', type, /./s, 'the name of a bucket type')
  checkText('index', index, /./s, 'a name')
  checkBytes('scope', scope, ANY_BYTES)
  if (from !== undefined) checkBytes('from', from, ANY_BYTES)
  if (to !== undefined) checkBytes('to', to, ANY_BYTES)
  if (groups !== undefined) checkGroups(groups)
  return checkInteger('limit', limit, SCAN_LIMIT)
}

function checkGroups(groups: TermGroups): void {
  checkObject('groups', groups)
  checkBytes('groups.prefix', groups.prefix, { min: 0, max: INDEX_LIMITS.termBytes })
  checkBytes('groups.delimiter', groups.delimiter, { min: 1, max: INDEX_LIMITS.termBytes })
}

/** For a scan. */
export function refuseFilters(options: ReadOptions): void {
  refuseAccept(options)
  if (options.shows !== undefined) throw wrongType('shows', 'is for reads of a key')
}

export function refuseAccept({ accept, known }: ReadOptions): void {
  if (accept !== undefined) throw wrongType('accept', 'is for reads of write-once bucket types')
  if (known !== undefined) throw wrongType('known', 'is for reads of write-once bucket types')
}

/** The read before a deletion goes by the type's r, and by what the caller says of both. */
export function readPartOf({ n, sloppy, timeoutMs, signal }: DeleteOptions): ReadOptions {
  return {
    ...(n === undefined ? {} : { n }),
    ...(sloppy === undefined ? {} : { sloppy }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    signal,
  }
}
