import { AtollError, isAtollError, messageOf } from '@atoll/core'

/** What the system threw, as an `AtollError`: `ATOLL_STORAGE`, or unchanged if it is one already. */
export function storageError(
  doing: string,
  error: unknown,
  options: { definite?: boolean } = {},
): AtollError {
  if (isAtollError(error)) return error
  return new AtollError('ATOLL_STORAGE', `${doing} failed: ${messageOf(error)}`, { cause: error, ...options })
}

/** Runs `action`, and throws what it throws as a storage error. */
export async function storing<T>(doing: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw storageError(doing, error)
  }
}

/** True if a write failed because there is no room: then it may be tried again when there is. */
export function isNoRoom(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')) || isNoRoom(error.cause)
}
