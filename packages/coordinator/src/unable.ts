import type { AtollError, AtollErrorCode } from '@atoll/core'

/** What a replica answers that cannot serve any request for now, whatever is asked of it. */
const CODES: ReadonlySet<AtollErrorCode> = new Set([
  'ATOLL_CLOCK',
  'ATOLL_CLOSED',
  'ATOLL_DISK_FULL',
  'ATOLL_PROTOCOL',
  'ATOLL_STORAGE',
  'ATOLL_UNAUTHORIZED',
  'ATOLL_UNREACHABLE',
])

/**
 * Whether another node should stand in for the replica that failed so. One that is only busy or slow keeps its place: it
 * will serve again before a fallback could hand anything over. One that is not what its name stands for is no replica.
 */
export function isUnable({ code, details }: AtollError): boolean {
  return CODES.has(code) || (code === 'ATOLL_FORMAT' && details['reason'] === 'identity')
}
