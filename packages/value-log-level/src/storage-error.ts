import { type AtollError, isAtollError, messageOf, storageFailure } from '@atoll/core'

/** What the system threw, as an `AtollError`: `ATOLL_DISK_FULL` or `ATOLL_STORAGE`, or unchanged if it is one already. */
export function storageError(
  doing: string,
  error: unknown,
  options: { definite?: boolean } = {},
): AtollError {
  return isAtollError(error) ? error : storageFailure(`${doing} failed: ${messageOf(error)}`, error, options)
}

/** Runs `action`, and throws what it throws as a storage error. */
export async function storing<T>(doing: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw storageError(doing, error)
  }
}
