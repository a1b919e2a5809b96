import type { ByteRange } from '@atoll/store'

/** The range that a `Range` header asks for; undefined for none, and for what a server may ignore (RFC 9110, 14.2). */
export function parseRange(header: string | undefined): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? '']
  if (first === '') return last === '' ? undefined : lastOnes(Number(last))
  const start = Number(first)
  if (last === '') return { start }
  return Number(last) < start ? undefined : { start, end: Number(last) + 1 }
}

/** The last none of its bytes are a range that no object has. */
function lastOnes(count: number): ByteRange {
  return count === 0 ? { start: Number.MAX_SAFE_INTEGER } : { suffixLength: count }
}
