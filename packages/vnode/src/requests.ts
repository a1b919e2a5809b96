import { checkBytes, checkInteger, checkKeyType } from '@atoll/core'
import { checkPartitions } from '@atoll/ring'
import type { ScanRequest } from './protocol.ts'

const MAX_LIMIT = 10_000
const MAX_TERM_BYTES = 4096

/** Throws `TypeError` or `RangeError` for an invalid scan. */
export function checkScan(request: ScanRequest, filed: number): void {
  const partitions = checkPartitions(request.partitions ?? filed)
  checkKeyType(request.type)
  checkInteger('limit', request.limit, { min: 1, max: MAX_LIMIT })
  if (request.groups !== undefined) {
    checkBytes('groups.prefix', request.groups.prefix, { min: 0, max: MAX_TERM_BYTES })
    checkBytes('groups.delimiter', request.groups.delimiter, { min: 1, max: MAX_TERM_BYTES })
  }
  for (const { partition } of request.vnodes) {
    checkInteger('partition', partition, { min: 0, max: partitions - 1 })
  }
}
