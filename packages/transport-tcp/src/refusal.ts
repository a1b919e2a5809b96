import { AtollError, type AtollErrorCode } from '@atoll/core'

/** Why somebody was turned away or a connection was ended: the label of the counters. */
export type Reason =
  | 'certificate'
  | 'cluster'
  | 'keep-alive'
  | 'limit'
  | 'malformed'
  | 'name'
  | 'queue'
  | 'replaced'
  | 'reset'
  | 'secret'
  | 'timeout'
  | 'tls'
  | 'told'
  | 'too-large'
  | 'version'

const CODES: Readonly<Record<Reason, AtollErrorCode>> = {
  certificate: 'ATOLL_UNAUTHORIZED',
  cluster: 'ATOLL_PROTOCOL',
  'keep-alive': 'ATOLL_UNREACHABLE',
  limit: 'ATOLL_OVERLOADED',
  malformed: 'ATOLL_PROTOCOL',
  name: 'ATOLL_PROTOCOL',
  queue: 'ATOLL_OVERLOADED',
  replaced: 'ATOLL_UNREACHABLE',
  reset: 'ATOLL_UNREACHABLE',
  secret: 'ATOLL_UNAUTHORIZED',
  timeout: 'ATOLL_UNREACHABLE',
  tls: 'ATOLL_PROTOCOL',
  told: 'ATOLL_PROTOCOL',
  'too-large': 'ATOLL_TOO_LARGE',
  version: 'ATOLL_PROTOCOL',
}

/** The error for a reason. */
export function because(
  reason: Reason,
  message: string,
  options: { readonly cause?: unknown; readonly definite?: boolean } = {},
): AtollError {
  return new AtollError(CODES[reason], message, { ...options, details: { reason } })
}

/** The reason that an error was made for; of any other, whether it was too large or just wrong. */
export function reasonOf(error: AtollError): string {
  const { reason } = error.details
  if (typeof reason === 'string') return reason
  return error.code === 'ATOLL_TOO_LARGE' ? 'too-large' : 'malformed'
}

/** Of what OpenSSL says, only the reason: the rest is places in its source, with a line break at the end. */
export function reasonIn(error: Error): string {
  const isOpenSsl = 'library' in error && 'reason' in error && typeof error.reason === 'string'
  if (!isOpenSsl) return error.message || String(error)
  return error.reason === 'wrong version number' ? 'the other side does not speak it' : String(error.reason)
}
