import { checkIndexEntries, INDEX_LIMITS } from '@atoll/causality'
import {
  checkBoolean,
  checkBytes,
  checkInteger,
  checkKnown,
  checkObject,
  checkSignal,
  checkText,
  describe,
  type KeyId,
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
const DELETE_OPTIONS = [...WRITE_OPTIONS, 'context'] as const satisfies readonly (keyof DeleteOptions)[]

export function checkId(id: KeyId): void {
  checkObject('id', id)
  if (typeof id.type !== 'string' || id.type === '') checkText('type', id.type, /./s, TYPE_FORM)
  checkBytes('bucket', id.bucket, BUCKET_BYTES)
  checkBytes('key', id.key, KEY_BYTES)
}

export function checkReadOptions(options: ReadOptions): void {
  checkKnown('a read', options, READ_OPTIONS)
  checkSignal(options.signal)
  if (options.absence !== undefined) checkAbsence(options.absence)
  if (options.known !== undefined) checkBoolean('known', options.known)
}

export function checkWriteOptions(options: WriteOptions): void {
  checkKnown('a write', options, WRITE_OPTIONS)
  checkSignal(options.signal)
}

export function checkDeleteOptions(options: DeleteOptions): void {
  checkKnown('a deletion', options, DELETE_OPTIONS)
  checkSignal(options.signal)
}

export function checkWrite(write: KvWrite): void {
  checkObject('write', write)
  const { value, valueCrc32, writeId, metadata, indexes, expiresAtMs, ifUnchanged, onReleased } = write
  checkBytes('value', value, ANY_BYTES)
  if (writeId !== undefined) checkBytes('writeId', writeId, { min: WRITE_ID_BYTES, max: WRITE_ID_BYTES })
  if (onReleased !== undefined && typeof onReleased !== 'function')
    throw wrongType('onReleased', `must be a function, got ${describe(onReleased)}`)
  if (ifUnchanged !== undefined && ifUnchanged !== 'one' && ifUnchanged !== 'all')
    throw wrongRange('ifUnchanged', `must be one or all, got ${describe(ifUnchanged)}`)
  if (valueCrc32 !== undefined) checkInteger('valueCrc32', valueCrc32, CRC32)
  if (metadata !== undefined && !(metadata instanceof Map))
    throw wrongType('metadata', `must be a Map, got ${describe(metadata)}`)
  if (expiresAtMs !== undefined && !Number.isFinite(expiresAtMs))
    throw wrongRange('expiresAtMs', `must be a finite number, got ${describe(expiresAtMs)}`)
  if (indexes !== undefined) checkIndexEntries(indexes)
}

/** Answers the limit. */
export function checkScan(scan: KvScan): number {
  checkObject('scan', scan)
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
