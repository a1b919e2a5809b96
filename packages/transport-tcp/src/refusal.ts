import { AtollError, type AtollErrorCode, type AtollErrorOptions } from '@atoll/core'

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
  { details, ...options }: Pick<AtollErrorOptions, 'cause' | 'definite' | 'details'> = {},
): AtollError {
  return new AtollError(CODES[reason], message, { ...options, details: { ...details, reason } })
}

/** The reason that an error was made for; of any other, whether it was too large or just wrong. */
export function reasonOf(error: AtollError): string {
  const { reason } = error.details
  if (typeof reason === 'string') return reason
  return error.code === 'ATOLL_TOO_LARGE' ? 'too-large' : 'malformed'
}

/**
 * What the first bytes of the other side tell of how it is set up: one of the two has `tls` in its options, and the other
 * has not. `details.expects` says which the other side is.
 */
export function otherSetup(
  expects: 'tls' | 'no-tls',
  options: { readonly cause?: unknown } = {},
): AtollError {
  const said =
    expects === 'tls'
      ? 'the other side speaks TLS, and this node is set up without: give it the option tls, with a certificate for its name'
      : 'the other side does not speak TLS, for which this node is set up: nodes with a secret alone have no option tls'
  return because('tls', said, { ...options, details: { expects } })
}

/** What OpenSSL says of a first message that is none of TLS. */
const NO_TLS: readonly string[] = ['wrong version number', 'packet length too long', 'http request']

/** True if the other side does not speak TLS at all. */
export function isNoTls(error: Error): boolean {
  return NO_TLS.includes(reasonIn(error))
}

/** Of what OpenSSL says, only the reason: the rest is places in its source, with a line break at the end. */
export function reasonIn(error: Error): string {
  const isOpenSsl = 'library' in error && 'reason' in error && typeof error.reason === 'string'
  return isOpenSsl ? String(error.reason) : error.message || String(error)
}
