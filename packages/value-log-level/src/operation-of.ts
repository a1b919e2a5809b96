import { checkBytes, concatBytes } from '@atoll/core'
import { CHUNK_BYTES } from './checksum.ts'
import { OP_DELETE, OP_LARGE, OP_SMALL, type Op, type Replaces } from './operation.ts'
import type { BytesOperation, LogWriteOptions } from './requests.ts'

export interface OperationChoice extends Pick<LogWriteOptions, 'tellsReplaced'> {
  /** Values from here on are large. */
  readonly thresholdBytes: number
}

/** What a request of abstract-level, or one in bytes, is in the log. */
export function operationOf(request: BytesOperation, choice: OperationChoice): Op {
  const key = checkBytes('key', request.key, UP_TO_ANY)
  const replaces = request.replacesBytes ?? (choice.tellsReplaced === true ? 0 : undefined)
  return request.type === 'put' ? putInParts(request, replaces, choice) : { type: OP_DELETE, key, replaces }
}

/** Two parts stay apart where both are worth it. */
function putInParts(
  { key, value, tail, tailCrc32 }: Extract<BytesOperation, { type: 'put' }>,
  replaces: Replaces,
  { thresholdBytes }: OperationChoice,
): Op {
  checkBytes('value', value, UP_TO_ANY)
  if (tail === undefined) return put(key, value, { replaces, thresholdBytes })
  checkBytes('tail', tail, UP_TO_ANY)
  const isLong = value.length < CHUNK_BYTES && tail.length >= Math.max(CHUNK_BYTES, thresholdBytes)
  if (!isLong) return put(key, concatBytes([value, tail]), { replaces, thresholdBytes })
  return { type: OP_LARGE, key, value, tail, tailCrc32, replaces }
}

function put(
  key: Uint8Array,
  value: Uint8Array,
  { replaces, thresholdBytes }: { replaces: Replaces; thresholdBytes: number },
): Op {
  return value.length >= thresholdBytes
    ? { type: OP_LARGE, key, value, tail: undefined, tailCrc32: undefined, replaces }
    : { type: OP_SMALL, key, value, replaces }
}

const UP_TO_ANY = { min: 0, max: Number.MAX_SAFE_INTEGER }
