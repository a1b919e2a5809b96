import { checkBytes, checkInteger, checkText, type KeyId } from '@atoll/core'
import { checkPartitions } from '@atoll/ring'
import type { ScanRequest } from './protocol.ts'

const MAX_BUCKET_BYTES = 1024
const MAX_KEY_BYTES = 4096
const MAX_LIMIT = 10_000
const MAX_TERM_BYTES = 4096

/** Throws `TypeError` or `RangeError` for an id outside the limits of `KeyId`. */
export function checkKeyId({ type, bucket, key }: KeyId): void {
  checkType(type)
  checkBytes('bucket', bucket, { min: 1, max: MAX_BUCKET_BYTES })
  checkBytes('key', key, { min: 1, max: MAX_KEY_BYTES })
}

/** Throws `TypeError` or `RangeError` for an invalid scan. */
export function checkScan(request: ScanRequest, filed: number): void {
  const partitions = checkPartitions(request.partitions ?? filed)
  checkType(request.type)
  checkInteger('limit', request.limit, { min: 1, max: MAX_LIMIT })
  if (request.groups !== undefined) {
    checkBytes('groups.prefix', request.groups.prefix, { min: 0, max: MAX_TERM_BYTES })
    checkBytes('groups.delimiter', request.groups.delimiter, { min: 1, max: MAX_TERM_BYTES })
  }
  for (const { partition } of request.vnodes) {
    checkInteger('partition', partition, { min: 0, max: partitions - 1 })
  }
}

/** What was found to be proper: the names of a cluster's types are few, and come with every request. */
const proper = new Set<string>()
const MAX_PROPER = 1024

function checkType(type: string): void {
  if (proper.has(type)) return
  checkText('type', type, /^[a-z0-9._-]{1,64}$/, '1 to 64 characters of a-z 0-9 . _ -')
  if (proper.size < MAX_PROPER) proper.add(type)
}
