import { AtollError, checkInteger, checkKnown, checkObject } from '@atoll/core'
import type { ByteRange } from './requests.ts'

/** Bytes from `start` to before `end` of an object. */
export interface ResolvedRange {
  readonly start: number
  readonly end: number
}

const OFFSET = { min: 0, max: Number.MAX_SAFE_INTEGER }

/** Throws `TypeError` or `RangeError` for what is no range of any object. */
export function checkRange(range: ByteRange): void {
  checkObject('range', range)
  if ('suffixLength' in range) {
    checkKnown('range', range, ['suffixLength'])
    checkInteger('range.suffixLength', range.suffixLength, { ...OFFSET, min: 1 })
    return
  }
  checkKnown('range', range, ['start', 'end'])
  const start = checkInteger('range.start', range.start, OFFSET)
  if (range.end !== undefined) checkInteger('range.end', range.end, { ...OFFSET, min: start + 1 })
}

/**
 * What the range means for an object of that size, as HTTP has it (RFC 9110, 14.1): an end behind the object is the
 * object's end. Throws `ATOLL_RANGE` if it has none of the bytes.
 */
export function resolveRange(range: ByteRange | undefined, size: number): ResolvedRange {
  if (range === undefined) return { start: 0, end: size }
  const resolved =
    'suffixLength' in range
      ? { start: Math.max(0, size - range.suffixLength), end: size }
      : { start: range.start, end: Math.min(range.end ?? size, size) }
  if (resolved.start < size) return resolved
  const message = `the object has ${size} bytes, none of them in the range ${JSON.stringify(range)}`
  throw new AtollError('ATOLL_RANGE', message, { details: { size, range } })
}
