import { AtollError, isAtollError } from '@atoll/core'

/** Throws `ATOLL_ABORTED` if the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw aborted(signal)
}

/** The promise, or a rejection with `ATOLL_ABORTED` as soon as the signal is aborted, whatever the promise does then. */
export function abortable<T>(signal: AbortSignal | undefined, promise: Promise<T>): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(aborted(signal))
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(
      (value) => {
        signal.removeEventListener('abort', onAbort)
        resolve(value)
      },
      (error: unknown) => {
        signal.removeEventListener('abort', onAbort)
        reject(signal.aborted && !isAtollError(error) ? aborted(signal) : error)
      },
    )
  })
}

function aborted(signal: AbortSignal): AtollError {
  return new AtollError('ATOLL_ABORTED', 'the call was aborted', { cause: signal.reason })
}
