import { type ErrorCode, isArgumentError, isAtollError } from '@atoll/store'

/** The HTTP status of every error code. What a later try may change is 503, and gets a `Retry-After`. */
const STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  ATOLL_ABORTED: 499,
  ATOLL_BUCKET_EXISTS: 409,
  ATOLL_BUCKET_NOT_EMPTY: 409,
  ATOLL_BUCKET_NOT_FOUND: 404,
  ATOLL_CLOSED: 503,
  ATOLL_DISK_FULL: 507,
  ATOLL_INCOMPLETE_BODY: 400,
  ATOLL_INVALID_ARGUMENT: 400,
  ATOLL_INVALID_BODY: 400,
  ATOLL_OBJECT_NOT_FOUND: 404,
  ATOLL_RANGE: 416,
  ATOLL_STORE_UNSUPPORTED: 501,
  ATOLL_TIMEOUT: 504,
  ATOLL_TOO_LARGE: 413,
}

export interface Answer {
  readonly status: number
  readonly code: string
  readonly message: string
  readonly transient: boolean
}

/**
 * What a client is told about anything that was thrown. The message of an error that is not about the request stays
 * here.
 */
export function answerOf(error: unknown): Answer {
  if (isHangUp(error))
    return { status: 499, code: 'HUNG_UP', message: 'the client hung up', transient: false }
  if (!isAtollError(error) && !isArgumentError(error))
    return { status: 500, code: 'INTERNAL', message: 'internal error', transient: false }
  const { code, transient } = error
  const status = STATUSES[code] ?? (transient ? 503 : 500)
  const message = isFault(status) ? 'the store cannot answer now' : error.message
  return { status, code, message, transient }
}

/** Whether the service is to blame, and not what it was asked for. */
export function isFault(status: number): boolean {
  return status >= 500 && status !== 501
}

/** What `pipeline` says when the connection ends before the answer: nothing that the service could mend. */
function isHangUp(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}
